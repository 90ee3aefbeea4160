// The tensors of the sigmoid focal loss, for CPU and CUDA: checked, since kernels trust their
// arguments, and converted to what kernels take.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

#include "sigmoid_focal_loss.h"
#include "tensor_elements.h"

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_FOCAL_CHECK(condition, ...) \
  STD_TORCH_CHECK(condition, "sigmoid_focal_loss: ", __VA_ARGS__)

inline void check_focal(const Tensor& logits, const Tensor& labels, double gamma) {
  const ScalarType type = logits.scalar_type();
  HDETR_FOCAL_CHECK(logits.dim() == 4, "logits must be [L, B, Q, K].");
  HDETR_FOCAL_CHECK(
      type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "logits must be float32, float16 or bfloat16.");
  HDETR_FOCAL_CHECK(labels.scalar_type() == ScalarType::Long, "labels must be int64.");
  HDETR_FOCAL_CHECK(labels.device() == logits.device(), "labels must be on the device of logits.");
  bool fits = labels.dim() == 3;
  for (int64_t dim = 0; fits && dim < 3; ++dim) fits = labels.size(dim) == logits.size(dim);
  HDETR_FOCAL_CHECK(fits, "labels must be [L, B, Q], as logits are [L, B, Q, K].");
  HDETR_FOCAL_CHECK(gamma >= 0, "gamma is at least 0, not ", gamma, ".");
}

inline void check_grad_loss(const Tensor& grad_loss, const Tensor& logits) {
  HDETR_FOCAL_CHECK(grad_loss.dim() == 1 && grad_loss.size(0) == logits.size(0),
                    "the gradient of the loss must be [L].");
  HDETR_FOCAL_CHECK(grad_loss.scalar_type() == ScalarType::Float,
                    "the gradient of the loss must be float32.");
  HDETR_FOCAL_CHECK(grad_loss.device() == logits.device(),
                    "the gradient of the loss must be on the device of logits.");
}

// For contiguous tensors.
inline FocalArguments focal_arguments(const Tensor& logits, const Tensor& labels, double alpha,
                                      double gamma) {
  return {{logits.size(0), logits.size(1) * logits.size(2), logits.size(3)},
          {static_cast<float>(alpha), static_cast<float>(gamma)},
          {logits.const_data_ptr(), type_of(logits)},
          elements_of<int64_t>(labels)};
}

}  // namespace hdetr
