// On the host: samples from rows in the form that kernels take.
#pragma once

#include "ms_deform_attn_fused_cuda.cuh"
#include "ms_deform_attn_fused_cuda.h"

namespace hdetr::cuda {

template <class Samples>
Samples samples_of(const Problem& problem, const RowTensors& rows) {
  return {static_cast<const typename Samples::Real*>(rows.reference),
          static_cast<const typename Samples::Row*>(rows.rows), rows.boxes,
          int32_t(problem.sizes.levels), RowLayout::of(problem.sizes)};
}

}  // namespace hdetr::cuda
