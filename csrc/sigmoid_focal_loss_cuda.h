// The sigmoid focal loss on CUDA. All pointers are device pointers; nothing here waits for the
// device.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda_cut.h"
#include "sigmoid_focal_loss.h"

namespace hdetr::cuda {

// Number of partial sums of the loss: it depends only on the sizes, and so does the order of the
// sums.
int64_t count_partial_sums(const FocalSizes& sizes);

// `loss` is [L]; `partial_sums` has room for that many.
cudaError_t launch_sigmoid_focal_loss(const FocalArguments& arguments, float* partial_sums,
                                      float* loss, const Cut& cut, cudaStream_t stream);

// The gradient with respect to the logits; `grad_logits` has their type. `grad_loss` is [L].
cudaError_t launch_sigmoid_focal_loss_backward(const FocalArguments& arguments,
                                               const float* grad_loss, void* grad_logits,
                                               const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
