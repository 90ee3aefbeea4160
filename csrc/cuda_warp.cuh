// Operations across the lanes of a warp on CUDA.
#pragma once

#include <cuda_runtime.h>

namespace hdetr::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over the lanes, always in the same order, returned to all of them.
template <class Real>
__device__ __forceinline__ Real sum_of_warp(Real number) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    number += __shfl_xor_sync(kAllLanes, number, step);
  }
  return number;
}

}  // namespace hdetr::cuda
