// The sigmoid focal loss on CUDA. All pointers are of the device; nothing here waits for it.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda_cut.h"
#include "sigmoid_focal_loss.h"

namespace hdetr::cuda {

// How many numbers the loss is summed up in, before they are added: it depends on the sizes alone,
// and so does the order of the sums.
int64_t count_partial_sums(const FocalSizes& sizes);

// `loss` is [L]; `partial_sums` is memory for as many as there are.
cudaError_t launch_sigmoid_focal_loss(const FocalArguments& arguments, float* partial_sums,
                                      float* loss, const Cut& cut, cudaStream_t stream);

// The gradient by the logits, of whose type `grad_logits` is; `grad_loss` is [L].
cudaError_t launch_sigmoid_focal_loss_backward(const FocalArguments& arguments,
                                               const float* grad_loss, void* grad_logits,
                                               const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
