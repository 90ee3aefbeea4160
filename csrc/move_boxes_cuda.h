// Boxes moved on CUDA. All pointers are of the device; nothing here waits for it.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda_cut.h"
#include "move_boxes.h"

namespace hdetr::cuda {

// `delta` and `boxes` are [N, 4].
cudaError_t launch_move_boxes(const MoveArguments& arguments, const float* delta, float* boxes,
                              const Cut& cut, cudaStream_t stream);

// `boxes` are what the deltas have made, [N, 4] as their gradient and `grad_delta`;
// `grad_reference` is like the reference, or null.
cudaError_t launch_move_boxes_backward(const MoveArguments& arguments, const float* grad_boxes,
                                       const float* boxes, float* grad_delta, float* grad_reference,
                                       const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
