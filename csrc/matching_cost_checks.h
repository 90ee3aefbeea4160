// The tensors of the matching cost, for CPU and CUDA: checked, since kernels trust their arguments,
// and converted to what kernels take.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <vector>

#include "matching_cost.h"
#include "tensor_elements.h"

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_MATCHING_CHECK(condition, ...) \
  STD_TORCH_CHECK(condition, "matching_cost: ", __VA_ARGS__)

// The tensors of a call, contiguous.
struct MatchingTensors {
  Tensor logits, boxes, labels, target_boxes, num_targets;

  MatchingTensors(const Tensor& any_logits, const Tensor& any_boxes, const Tensor& any_labels,
                  const Tensor& any_target_boxes, const Tensor& any_num_targets)
      : logits(torch::stable::contiguous(any_logits)),
        boxes(torch::stable::contiguous(any_boxes)),
        labels(torch::stable::contiguous(any_labels)),
        target_boxes(torch::stable::contiguous(any_target_boxes)),
        num_targets(torch::stable::contiguous(any_num_targets)) {}
};

inline void check_matching_tensor(const Tensor& tensor, const char* name, ScalarType type,
                                  const std::vector<int64_t>& sizes, const Tensor& logits) {
  HDETR_MATCHING_CHECK(tensor.scalar_type() == type, name, " must be ",
                       type == ScalarType::Long ? "int64." : "float32.");
  HDETR_MATCHING_CHECK(tensor.device() == logits.device(), name,
                       " must be on the device of logits.");
  bool fits = tensor.dim() == static_cast<int64_t>(sizes.size());
  for (size_t i = 0; fits && i < sizes.size(); ++i) fits = tensor.size(i) == sizes[i];
  HDETR_MATCHING_CHECK(fits, name, " does not fit logits [P, Q, K] and labels [B, G].");
}

// Raises for anything that the kernels cannot take.
inline MatchingSizes check_matching(const MatchingTensors& tensors) {
  const Tensor &logits = tensors.logits, &labels = tensors.labels;
  const ScalarType type = logits.scalar_type();
  HDETR_MATCHING_CHECK(logits.dim() == 3, "logits must be [P, Q, K].");
  HDETR_MATCHING_CHECK(
      type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "logits must be float32, float16 or bfloat16.");
  HDETR_MATCHING_CHECK(labels.dim() == 2, "labels must be [B, G].");
  const MatchingSizes sizes{logits.size(0), logits.size(1), logits.size(2), labels.size(0),
                            labels.size(1)};
  check_matching_tensor(labels, "labels", ScalarType::Long, {sizes.images, sizes.targets}, logits);
  check_matching_tensor(tensors.boxes, "boxes", ScalarType::Float,
                        {sizes.problems, sizes.queries, 4}, logits);
  check_matching_tensor(tensors.target_boxes, "target_boxes", ScalarType::Float,
                        {sizes.images, sizes.targets, 4}, logits);
  check_matching_tensor(tensors.num_targets, "num_targets", ScalarType::Long, {sizes.images},
                        logits);
  HDETR_MATCHING_CHECK(sizes.images > 0 ? sizes.problems % sizes.images == 0 : sizes.problems == 0,
                       sizes.problems, " problems cannot belong to ", sizes.images,
                       " images in equal parts.");
  return sizes;
}

// `form` is 0 for a focal cost, 1 for a softmax; `weights` are those of class, L1 and GIoU.
inline MatchingRule matching_rule(int64_t form, double alpha, double gamma,
                                  const std::vector<double>& weights) {
  HDETR_MATCHING_CHECK(form == 0 || form == 1, "there is no class cost ", form, ".");
  HDETR_MATCHING_CHECK(gamma >= 0, "gamma is at least 0, not ", gamma, ".");
  HDETR_MATCHING_CHECK(weights.size() == 3, "there are 3 weights, not ", weights.size(), ".");
  return {form == 0 ? ClassCost::kFocal : ClassCost::kSoftmax,
          {static_cast<float>(alpha), static_cast<float>(gamma)},
          static_cast<float>(weights[0]),
          static_cast<float>(weights[1]),
          static_cast<float>(weights[2])};
}

struct MatchingResults {
  Tensor cost, nonfinite;

  static MatchingResults of(const MatchingTensors& given, const MatchingSizes& sizes) {
    return {torch::stable::new_empty(given.boxes, {sizes.problems, sizes.targets, sizes.queries}),
            torch::stable::new_zeros(given.labels, {sizes.problems, 3})};
  }
};

inline MatchingArguments matching_arguments(const MatchingTensors& given,
                                            const MatchingSizes& sizes, const MatchingRule& rule,
                                            MatchingResults& results) {
  return {sizes,
          rule,
          {given.logits.const_data_ptr(), type_of(given.logits)},
          elements_of<float>(given.boxes),
          elements_of<int64_t>(given.labels),
          elements_of<float>(given.target_boxes),
          elements_of<int64_t>(given.num_targets),
          mutable_elements_of<float>(results.cost),
          mutable_elements_of<int64_t>(results.nonfinite)};
}

}  // namespace hdetr
