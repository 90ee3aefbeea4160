// Box refinement on the CPU: kernels on raw pointers, over the rows of all images.
#pragma once

#include <cstdint>

#include "move_boxes.h"

namespace hdetr {

// Rows [first, last): `delta` and `boxes` are [N, 4].
void move_boxes(const MoveArguments& arguments, const float* delta, float* boxes, int64_t first,
                int64_t last);

struct MoveGradients {
  const float* boxes;       // [N, 4], the refined boxes
  const float* grad_boxes;  // [N, 4]
  float* grad_delta;        // [N, 4]
  float* grad_reference;    // like the reference, or null
};

// Rows [first, last).
void differentiate_moves(const MoveArguments& arguments, const MoveGradients& gradients,
                         int64_t first, int64_t last);

}  // namespace hdetr
