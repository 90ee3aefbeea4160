// The cost of one pair of target and query, for CPU and CUDA.
#pragma once

#include <cstdint>

#include "box.h"
#include "focal.h"
#include "number.h"

namespace hdetr {

// Sizes: logits [P, Q, K], boxes [P, Q, 4], labels [B, G], target boxes [B, G, 4], cost [P, G, Q].
struct MatchingSizes {
  int64_t problems, queries, classes, images, targets;  // P, Q, K, B, G
};

enum class ClassCost { kFocal, kSoftmax };

struct MatchingRule {
  ClassCost form;
  FocalForm focal;
  float classes, bbox, giou;  // weights
};

// All arrays are contiguous.
struct MatchingArguments {
  MatchingSizes sizes;
  MatchingRule rule;
  ConstArray logits;           // [P, Q, K], not of doubles
  const float* boxes;          // [P, Q, 4] cxcywh
  const int64_t* labels;       // [B, G]
  const float* target_boxes;   // [B, G, 4] cxcywh
  const int64_t* num_targets;  // [B]
  float* cost;                 // [P, G, Q]
  int64_t* nonfinite;          // [P, 3], initially zero
};

inline constexpr float kNoMatch = __builtin_huge_valf();

template <class Number>
struct PairCost {
  Number classes, distance, giou;

  HDETR_INLINE static PairCost of(Number classes, const Box<Number>& a, const Box<Number>& b) {
    return {classes, hdetr::distance(a, b), generalized_iou(a, b)};
  }

  // Not finite if any of the three is not: no weight, not even 0, makes it finite.
  HDETR_INLINE Number sum(const MatchingRule& rule) const {
    return rule.classes * classes + rule.bbox * distance - rule.giou * giou;
  }
};

// For the logit of the target's class.
template <class Number>
HDETR_INLINE Number focal_cost(Number logit, const FocalForm& form) {
  const auto p = Probability<Number>::of(logit);
  return positive_loss(p, form) - negative_loss(p, form);
}

// `largest` of all logits of the query, and the `sum` of exp(logit - largest).
template <class Number>
HDETR_INLINE Number softmax_cost(Number logit, Number largest, Number sum) {
  return -exp_of_negative(logit - largest) / sum;
}

}  // namespace hdetr
