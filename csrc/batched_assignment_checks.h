// Argument checks of the batched assignment, for CPU and CUDA.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <vector>

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_ASSIGNMENT_CHECK(condition, ...) \
  STD_TORCH_CHECK(condition, "batched_assignment: ", __VA_ARGS__)

inline void check_assignment(const std::vector<Tensor>& costs, const Tensor& num_targets,
                             const std::vector<int64_t>& capacities) {
  HDETR_ASSIGNMENT_CHECK(num_targets.dim() == 1 && num_targets.scalar_type() == ScalarType::Long,
                         "num_targets must be [B] in int64.");
  HDETR_ASSIGNMENT_CHECK(capacities.size() == costs.size(), capacities.size(),
                         " capacities were given for ", costs.size(), " costs.");
  const int64_t images = num_targets.size(0);
  for (size_t i = 0; i < costs.size(); ++i) {
    const Tensor& cost = costs[i];
    HDETR_ASSIGNMENT_CHECK(cost.dim() == 3 && cost.scalar_type() == ScalarType::Float, "cost ", i,
                           " must be [P, G, Q] in float32.");
    HDETR_ASSIGNMENT_CHECK(cost.device() == num_targets.device(), "cost ", i,
                           " must be on the device of num_targets.");
    HDETR_ASSIGNMENT_CHECK(images > 0 ? cost.size(0) % images == 0 : cost.size(0) == 0,
                           cost.size(0), " problems cannot belong to ", images,
                           " images in equal parts.");
    HDETR_ASSIGNMENT_CHECK(capacities[i] >= 1, "a capacity is at least 1, not ", capacities[i],
                           ".");
  }
}

}  // namespace hdetr
