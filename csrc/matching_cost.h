// The cost of one pair of a target and a query, written once for the CPU and for CUDA.
#pragma once

#include <cstdint>
#include <limits>

#include "focal.h"
#include "number.h"

namespace hdetr {

// The sizes of a call: logits [P, Q, K], boxes [P, Q, 4], labels [B, G], target boxes [B, G, 4],
// cost [P, G, Q].
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
  int64_t* nonfinite;          // [P, 3], zeros at first
};

inline constexpr float kNoMatch = __builtin_huge_valf();
// The reciprocal of less would overflow.
inline constexpr float kLeastArea = std::numeric_limits<float>::min();

template <class Number>
struct Box {
  Number cx, cy, w, h;
  Number x0, y0, x1, y1, area;

  HDETR_INLINE static Box of(Number cx, Number cy, Number w, Number h) {
    const Number x = w * 0.5f, y = h * 0.5f;
    const Number x0 = cx - x, y0 = cy - y, x1 = cx + x, y1 = cy + y;
    return {cx, cy, w, h, x0, y0, x1, y1, (x1 - x0) * (y1 - y0)};
  }
};

template <class Number>
HDETR_INLINE Number larger(Number a, Number b) {
  return a > b ? a : b;
}
template <class Number>
HDETR_INLINE Number smaller(Number a, Number b) {
  return a < b ? a : b;
}

// L1 distance of (cx, cy, w, h).
template <class Number>
HDETR_INLINE Number distance(const Box<Number>& a, const Box<Number>& b) {
  return absolute(a.cx - b.cx) + absolute(a.cy - b.cy) + absolute(a.w - b.w) + absolute(a.h - b.h);
}

// An area, but 1 where there is none: every box that has an area counts in full, however small it
// is. A coordinate that is NaN makes its area NaN, which is not less than anything and stays.
template <class Number>
HDETR_INLINE Number divisor(Number area) {
  const Number none{}, one = none + 1.0f, least = none + kLeastArea;
  return area < least ? one : area;
}

// Generalised IoU (https://arxiv.org/abs/1902.09630); finite for boxes without area.
template <class Number>
HDETR_INLINE Number generalized_iou(const Box<Number>& a, const Box<Number>& b) {
  const Number none{};
  const Number inside = larger(smaller(a.x1, b.x1) - larger(a.x0, b.x0), none) *
                        larger(smaller(a.y1, b.y1) - larger(a.y0, b.y0), none);
  const Number united = a.area + b.area - inside;
  const Number hull =
      (larger(a.x1, b.x1) - smaller(a.x0, b.x0)) * (larger(a.y1, b.y1) - smaller(a.y0, b.y0));
  return inside / divisor(united) - (hull - united) / divisor(hull);
}

template <class Number>
struct PairCost {
  Number classes, distance, giou;

  HDETR_INLINE static PairCost of(Number classes, const Box<Number>& a, const Box<Number>& b) {
    return {classes, hdetr::distance(a, b), generalized_iou(a, b)};
  }

  // Not finite if one of the three is not: no weight, not even 0, makes a number of it.
  HDETR_INLINE Number sum(const MatchingRule& rule) const {
    return rule.classes * classes + rule.bbox * distance - rule.giou * giou;
  }
};

// Of the logit of the target's class.
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
