// Limits of the CUDA kernels of multi-scale deformable attention.
#pragma once

#include "ms_deform_attn_checks.h"
#include "ms_deform_attn_cuda.h"

namespace hdetr::cuda {

inline void check_limits(const Tensor& value, const Sizes& sizes) {
  HDETR_CHECK(value.is_cuda(), "value must be on a CUDA device.");
  HDETR_CHECK(sizes.levels <= kMaxLevels, "the CUDA kernels take ", kMaxLevels,
              " levels at most, not ", sizes.levels, ".");
  HDETR_CHECK(sizes.heads * sizes.channels <= kMaxChannels,
              "the CUDA kernels take 2^28 channels of all heads together at most, not ",
              sizes.heads * sizes.channels, ".");
  HDETR_CHECK(sizes.levels * sizes.points <= kMaxPoints,
              "the CUDA kernels take 2^30 points of all levels together at most, not ",
              sizes.levels * sizes.points, ".");
}

}  // namespace hdetr::cuda
