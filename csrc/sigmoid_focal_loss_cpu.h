// The sigmoid focal loss on the CPU: kernels on raw pointers, divided into tasks of some rows of a
// layer each. The division, and with it the order of every sum, depends only on the sizes.
#pragma once

#include <cstdint>

#include "sigmoid_focal_loss.h"

namespace hdetr {

int64_t count_tasks(const FocalSizes& sizes);

// Tasks [first, last): the sum of each.
void sum_losses(const FocalArguments& arguments, int64_t first, int64_t last, double* sums);

// Combines the sums of all tasks: `loss` is [L].
void add_sums(const FocalSizes& sizes, const double* sums, float* loss);

// Tasks [first, last) of the gradient with respect to the logits; `grad_logits` has their type.
// `grad_loss` is [L].
void differentiate(const FocalArguments& arguments, const float* grad_loss,
                   const Array& grad_logits, int64_t first, int64_t last);

}  // namespace hdetr
