// Optimal assignment on CUDA. All pointers except those to entries are device pointers. Nothing
// here waits for the device, and host information is passed as a parameter of the kernels.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

namespace hdetr::cuda {

// Problems of equal size: problem p belongs to image p % B.
struct AssignmentEntry {
  const float* costs;  // [problems, rows, queries]
  int64_t* answer;     // [problems, queries]: the target of each query, or -1
  int32_t problems, rows, queries, capacity;
};

// Maximum number per launch.
constexpr size_t kMaxEntries = 32;

// Size of the workspace for these entries, at most kMaxEntries.
int64_t assignment_workspace_bytes(const std::vector<AssignmentEntry>& entries);

// num_targets [images] is clamped to [0, rows]. `workspace` is aligned to 256 bytes.
cudaError_t launch_batched_assignment(const std::vector<AssignmentEntry>& entries,
                                      const int64_t* num_targets, int64_t images, void* workspace,
                                      cudaStream_t stream);

}  // namespace hdetr::cuda
