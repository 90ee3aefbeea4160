// Box refinement on CUDA. All pointers are device pointers; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda_cut.h"
#include "move_boxes.h"

namespace hdetr::cuda {

// `delta` and `boxes` are [N, 4].
cudaError_t launch_move_boxes(const MoveArguments& arguments, const float* delta, float* boxes,
                              const Cut& cut, cudaStream_t stream);

// `boxes` are the refined ones, [N, 4] like their gradient and `grad_delta`; `grad_reference` has
// the form of the reference, or is null.
cudaError_t launch_move_boxes_backward(const MoveArguments& arguments, const float* grad_boxes,
                                       const float* boxes, float* grad_delta, float* grad_reference,
                                       const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
