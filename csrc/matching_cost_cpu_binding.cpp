// The operator in PyTorch's dispatcher: its schema, and its CPU kernel.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "matching_cost_checks.h"
#include "matching_cost_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kWorthAThread = 30'000;  // pairs: about 20 microseconds

void check_counts(const Tensor& num_targets, const MatchingSizes& sizes) {
  for (int64_t image = 0; image < sizes.images; ++image) {
    const int64_t count = elements_of<int64_t>(num_targets)[image];
    HDETR_MATCHING_CHECK(count >= 0 && count <= sizes.targets, "num_targets[", image, "] is ",
                         count, ", but there are ", sizes.targets, ".");
  }
}

std::tuple<Tensor, Tensor> matching_cost(Tensor logits, Tensor boxes, Tensor labels,
                                         Tensor target_boxes, Tensor num_targets, int64_t form,
                                         double alpha, double gamma, std::vector<double> weights) {
  const MatchingTensors given(logits, boxes, labels, target_boxes, num_targets);
  const MatchingSizes sizes = check_matching(given);
  check_counts(given.num_targets, sizes);
  const MatchingRule rule = matching_rule(form, alpha, gamma, weights);
  MatchingResults results = MatchingResults::of(given, sizes);
  const MatchingArguments arguments = matching_arguments(given, sizes, rule, results);
  const int64_t tasks = count_tasks(arguments);
  const int64_t pairs = sizes.problems * sizes.queries * sizes.targets;
  const int64_t grain = std::max<int64_t>(1, tasks * kWorthAThread / std::max<int64_t>(1, pairs));
  torch::stable::parallel_for(
      0, tasks, grain, [&](int64_t first, int64_t last) { run_tasks(arguments, first, last); });
  return {results.cost, results.nonfinite};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def(
      "matching_cost(Tensor logits, Tensor boxes, Tensor labels, Tensor target_boxes, "
      "Tensor num_targets, int form, float alpha, float gamma, float[] weights) -> "
      "(Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) { m.impl("matching_cost", TORCH_BOX(&matching_cost)); }

}  // namespace hdetr
