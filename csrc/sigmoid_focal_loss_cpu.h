// The sigmoid focal loss on the CPU: kernels on raw pointers, cut into tasks that are some rows of
// a layer each. The cut, and so the order of every sum, depends on the sizes alone.
#pragma once

#include <cstdint>

#include "sigmoid_focal_loss.h"

namespace hdetr {

int64_t count_tasks(const FocalSizes& sizes);

// Tasks [first, last): the sum of each.
void sum_losses(const FocalArguments& arguments, int64_t first, int64_t last, double* sums);

// The sums of all tasks, put together: `loss` is [L].
void add_sums(const FocalSizes& sizes, const double* sums, float* loss);

// Tasks [first, last) of the gradient by the logits, of whose type `grad_logits` is. `grad_loss` is
// [L].
void differentiate(const FocalArguments& arguments, const float* grad_loss,
                   const Array& grad_logits, int64_t first, int64_t last);

}  // namespace hdetr
