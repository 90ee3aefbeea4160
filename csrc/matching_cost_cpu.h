// Matching costs on the CPU: kernels on raw pointers, cut into tasks that write memory of their
// own, except for counts, which are added to.
#pragma once

#include <cstdint>

#include "array.h"
#include "matching_cost.h"

namespace hdetr {

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

int64_t count_tasks(const MatchingArguments& arguments);

// Tasks [first, last).
void run_tasks(const MatchingArguments& arguments, int64_t first, int64_t last);

}  // namespace hdetr
