// The operator in PyTorch's dispatcher: its schema, and its CPU kernel.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "batched_assignment_checks.h"
#include "batched_assignment_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kWorthAThread = 1'000'000;  // units of `estimate_work`: a tenth of a millisecond

std::vector<AssignmentProblem> problems_of(const Tensor& cost, const Tensor& num_targets,
                                           int64_t capacity, Tensor& answer) {
  const int64_t rows = cost.size(1), queries = cost.size(2), images = num_targets.size(0);
  const auto* costs = static_cast<const float*>(cost.const_data_ptr());
  const auto* counts = static_cast<const int64_t*>(num_targets.const_data_ptr());
  auto* answers = static_cast<int64_t*>(answer.mutable_data_ptr());
  std::vector<AssignmentProblem> problems;
  for (int64_t p = 0; p < cost.size(0); ++p) {
    const int64_t targets = counts[p % images];
    HDETR_ASSIGNMENT_CHECK(targets >= 0 && targets <= rows, "num_targets[", p % images, "] is ",
                           targets, ", but a cost has ", rows, " rows.");
    problems.push_back(
        {costs + p * rows * queries, targets, queries, capacity, answers + p * queries});
  }
  return problems;
}

// Largest first, taken by whichever thread is free: problems take very different times.
void solve_all(std::vector<AssignmentProblem> problems) {
  const auto larger = [](const AssignmentProblem& a, const AssignmentProblem& b) {
    return estimate_work(a) > estimate_work(b);
  };
  std::stable_sort(problems.begin(), problems.end(), larger);
  int64_t work = 0;
  for (const AssignmentProblem& problem : problems) work += estimate_work(problem);
  const auto count = static_cast<int64_t>(problems.size());
  const int64_t threads = std::min<int64_t>(torch::stable::get_num_threads(), count);
  std::atomic<int64_t> next{0};
  const auto take_turns = [&](int64_t, int64_t) {
    for (int64_t p = next++; p < count; p = next++) solve_assignment(problems[p]);
  };
  if (threads < 2 || work < kWorthAThread) return take_turns(0, 1);
  torch::stable::parallel_for(0, threads, 1, take_turns);
}

std::vector<Tensor> batched_assignment(std::vector<Tensor> costs, Tensor num_targets,
                                       std::vector<int64_t> capacities) {
  check_assignment(costs, num_targets, capacities);
  num_targets = torch::stable::contiguous(num_targets);
  std::vector<AssignmentProblem> problems;
  std::vector<Tensor> answers;
  for (size_t i = 0; i < costs.size(); ++i) {
    costs[i] = torch::stable::contiguous(costs[i]);
    answers.push_back(
        torch::stable::new_empty(costs[i], {costs[i].size(0), costs[i].size(2)}, ScalarType::Long));
    const auto more = problems_of(costs[i], num_targets, capacities[i], answers.back());
    problems.insert(problems.end(), more.begin(), more.end());
  }
  solve_all(std::move(problems));
  return answers;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def("batched_assignment(Tensor[] cost, Tensor num_targets, int[] capacity) -> Tensor[]");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("batched_assignment", TORCH_BOX(&batched_assignment));
}

}  // namespace hdetr
