// Box losses on the CPU: kernels on raw pointers, over the rows of all problems.
#pragma once

#include <cstdint>

#include "box_losses.h"

namespace hdetr {

// Rows [first, last): `losses` is [P, N].
void box_losses(const BoxLossArguments& arguments, BoxLoss* losses, int64_t first, int64_t last);

// Rows [first, last) of the gradient with respect to the boxes, [P, N]; `grad_losses` is [P, N].
void differentiate_boxes(const BoxLossArguments& arguments, const BoxLoss* grad_losses,
                         BoxSlope* grad_boxes, int64_t first, int64_t last);

}  // namespace hdetr
