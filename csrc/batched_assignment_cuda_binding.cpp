// The operator's CUDA kernels in PyTorch's dispatcher. The schema is registered with the CPU
// kernel.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "batched_assignment_checks.h"
#include "batched_assignment_cuda.h"
#include "cuda_device.h"
#include "cuda_scratch.h"

namespace hdetr::cuda {
namespace {

int32_t small(int64_t number, const char* what) {
  HDETR_ASSIGNMENT_CHECK(number <= INT32_MAX / 2, "the CUDA kernels take 2^30 ", what,
                         " at most, not ", number, ".");
  return int32_t(number);
}

AssignmentEntry entry_of(const Tensor& cost, Tensor& answer, int64_t capacity) {
  const int64_t rows = cost.size(1), queries = cost.size(2);
  small(rows * std::min(capacity, queries), "targets times capacity");
  small(cost.size(0) * rows, "rows");
  return {static_cast<const float*>(cost.const_data_ptr()),
          static_cast<int64_t*>(answer.mutable_data_ptr()),
          small(cost.size(0), "problems"),
          small(rows, "targets"),
          small(queries, "queries"),
          int32_t(std::min(capacity, queries))};
}

std::vector<Tensor> batched_assignment(std::vector<Tensor> costs, Tensor num_targets,
                                       std::vector<int64_t> capacities) {
  check_assignment(costs, num_targets, capacities);
  HDETR_ASSIGNMENT_CHECK(num_targets.is_cuda(), "num_targets must be on a CUDA device.");
  num_targets = torch::stable::contiguous(num_targets);
  const Device device(num_targets);
  std::vector<Tensor> answers;
  std::vector<AssignmentEntry> entries;
  for (size_t i = 0; i < costs.size(); ++i) {
    costs[i] = torch::stable::contiguous(costs[i]);
    answers.push_back(
        torch::stable::new_empty(costs[i], {costs[i].size(0), costs[i].size(2)}, ScalarType::Long));
    entries.push_back(entry_of(costs[i], answers.back(), capacities[i]));
  }
  for (size_t first = 0; first < entries.size(); first += kMaxEntries) {
    const size_t last = std::min(first + kMaxEntries, entries.size());
    const std::vector<AssignmentEntry> some(entries.begin() + first, entries.begin() + last);
    const Scratch workspace(assignment_workspace_bytes(some));
    STD_CUDA_CHECK(
        launch_batched_assignment(some, static_cast<const int64_t*>(num_targets.const_data_ptr()),
                                  num_targets.size(0), workspace.get(), device.stream()));
  }
  return answers;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("batched_assignment", TORCH_BOX(&batched_assignment));
}

}  // namespace hdetr::cuda
