// Box losses on CUDA. All pointers are device pointers; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include "box_losses.h"
#include "cuda_cut.h"

namespace hdetr::cuda {

// `losses` is [P, N].
cudaError_t launch_box_losses(const BoxLossArguments& arguments, BoxLoss* losses, const Cut& cut,
                              cudaStream_t stream);

// The gradient with respect to the boxes, [P, N]; `grad_losses` is [P, N].
cudaError_t launch_box_losses_backward(const BoxLossArguments& arguments,
                                       const BoxLoss* grad_losses, BoxSlope* grad_boxes,
                                       const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
