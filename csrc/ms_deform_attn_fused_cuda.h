// Fused multi-scale deformable attention on CUDA. As in ms_deform_attn_cuda.h all pointers are
// device pointers, and all tensors contiguous.
#pragma once

#include <cuda_runtime_api.h>

#include "ms_deform_attn_cuda.h"

namespace hdetr::cuda {

// For a problem whose `weights` have the type of the rows.
struct RowTensors {
  const void* reference;  // [B, Q, L, 2] points, or [B, Q, L, 4] boxes
  bool boxes;
  const void* rows;  // [B, Q, 3 * M * L * P]
};

cudaError_t launch_ms_deform_attn_fused(const Problem& problem, const LaunchShape& shape,
                                        const void* value, const RowTensors& rows, void* output,
                                        cudaStream_t stream);

struct FusedBackwardTensors {
  const void *grad_output, *value;
  RowTensors rows;
  void *grad_value, *grad_rows;
  void* grad_reference;  // null if it is not needed
  // In the type of the reference, used only by kernels: [B, Q, M, L * P], null if the rows have
  // this type themselves; [B, Q, M, L, P, 2], null if the gradient of the reference is.
  void *by_weights, *by_locations;
  void* workspace;  // of backward_workspace_bytes, aligned to 256
};

// Writes every element of the gradients; for `deterministic` see there.
cudaError_t launch_ms_deform_attn_fused_backward(const Problem& problem, const LaunchShape& shape,
                                                 const FusedBackwardTensors& tensors,
                                                 bool deterministic, cudaStream_t stream);

}  // namespace hdetr::cuda
