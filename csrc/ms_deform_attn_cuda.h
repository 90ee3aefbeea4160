// Multi-scale deformable attention on CUDA. All pointers are device pointers, all tensors
// contiguous; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "ms_deform_attn.h"

namespace hdetr::cuda {

// The levels are a kernel parameter, whose size is limited.
constexpr int64_t kMaxLevels = 64;
// What the kernels keep in 32 bits; numbers of elements are in 64.
constexpr int64_t kMaxChannels = 1 << 28;  // of all heads
constexpr int64_t kMaxPoints = 1 << 30;    // of all levels

struct Problem {
  Type value;    // of value, output and their gradients
  Type weights;  // the same, or that of the locations: kDouble for kDouble, otherwise kFloat
  Sizes sizes;
  std::vector<int64_t> shapes;  // height and width of each level
};

// Per block. The backward needs more registers.
constexpr int kMaxForwardThreads = 512;
constexpr int kMaxBackwardThreads = 256;

// How the work is divided. Does not affect the results, except for the order in which the
// non-deterministic backward adds to the gradient of a value.
struct LaunchShape {
  int threads;  // per block: a multiple of 32
  // The queries are the cells, so that those of a block are neighbours in both directions
  bool tiled;
  int max_blocks;  // in every dimension of the grid
};

LaunchShape launch_shape(const Problem& problem, int max_threads);

// value [B, S, M, D], locations [B, Q, M, L, P, 2], weights [B, Q, M, L, P] -> output [B, Q, M * D]
cudaError_t launch_ms_deform_attn(const Problem& problem, const LaunchShape& shape,
                                  const void* value, const void* locations, const void* weights,
                                  void* output, cudaStream_t stream);

// Size of the workspace for the backward; may be 0.
int64_t backward_workspace_bytes(const Problem& problem, bool deterministic);

struct BackwardTensors {
  const void *grad_output, *value, *locations, *weights;
  void *grad_value, *grad_locations, *grad_weights;
  void* workspace;  // of backward_workspace_bytes, aligned to 256
};

// Writes every element of the three gradients. `deterministic`: bitwise equal in every run; the
// gradient of the value is NaN everywhere if a gradient, a weight or a location is not finite.
cudaError_t launch_ms_deform_attn_backward(const Problem& problem, const LaunchShape& shape,
                                           const BackwardTensors& tensors, bool deterministic,
                                           cudaStream_t stream);

}  // namespace hdetr::cuda
