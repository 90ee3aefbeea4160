// The CUDA kernel in PyTorch's dispatcher. The schema is registered with the CPU kernel.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>
#include <vector>

#include "cuda_device.h"
#include "matching_cost_checks.h"
#include "matching_cost_cuda.h"

namespace hdetr::cuda {
namespace {

std::tuple<Tensor, Tensor> matching_cost(Tensor logits, Tensor boxes, Tensor labels,
                                         Tensor target_boxes, Tensor num_targets, int64_t form,
                                         double alpha, double gamma, std::vector<double> weights) {
  const MatchingTensors given(logits, boxes, labels, target_boxes, num_targets);
  const MatchingSizes sizes = check_matching(given);
  const MatchingRule rule = matching_rule(form, alpha, gamma, weights);
  HDETR_MATCHING_CHECK(given.logits.is_cuda(), "logits must be on a CUDA device.");
  const Device device(given.logits);
  MatchingResults results = MatchingResults::of(given, sizes);
  const MatchingArguments arguments = matching_arguments(given, sizes, rule, results);
  STD_CUDA_CHECK(launch_matching_cost(arguments, {}, device.stream()));
  return {results.cost, results.nonfinite};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) { m.impl("matching_cost", TORCH_BOX(&matching_cost)); }

}  // namespace hdetr::cuda
