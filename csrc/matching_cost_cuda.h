// Matching costs on CUDA. All pointers are device pointers; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda_cut.h"
#include "matching_cost.h"

namespace hdetr::cuda {

cudaError_t launch_matching_cost(const MatchingArguments& arguments, const Cut& cut,
                                 cudaStream_t stream);

}  // namespace hdetr::cuda
