// The tensors of box refinement, for CPU and CUDA: checked, since kernels trust their arguments,
// and converted to what kernels take.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

#include "move_boxes.h"
#include "tensor_elements.h"

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_MOVE_CHECK(condition, ...) STD_TORCH_CHECK(condition, "move_boxes: ", __VA_ARGS__)

inline void check_four(const Tensor& tensor, const Tensor& reference, const char* name) {
  HDETR_MOVE_CHECK(tensor.dim() == 3 && tensor.size(0) == reference.size(0) &&
                       tensor.size(1) == reference.size(1) && tensor.size(2) == kBoxNumbers,
                   name, " must be [B, Q, 4], as the reference is [B, Q, 2 or 4].");
  HDETR_MOVE_CHECK(tensor.scalar_type() == ScalarType::Float, name, " must be float32.");
  HDETR_MOVE_CHECK(tensor.device() == reference.device(), name,
                   " must be on the device of the reference.");
}

inline void check_reference(const Tensor& reference, double eps) {
  HDETR_MOVE_CHECK(reference.dim() == 3 && (reference.size(2) == 2 || reference.size(2) == 4),
                   "the reference must be [B, Q, 2 or 4].");
  HDETR_MOVE_CHECK(reference.scalar_type() == ScalarType::Float, "the reference must be float32.");
  HDETR_MOVE_CHECK(eps > 0 && eps < 1, "eps is above 0 and below 1, not ", eps, ".");
}

// For a contiguous reference.
inline MoveArguments move_arguments(const Tensor& reference, double eps) {
  return {{reference.size(0) * reference.size(1), reference.size(2)},
          static_cast<float>(eps),
          elements_of<float>(reference)};
}

// The outputs of the backward; one that is not needed has no elements, and a null pointer.
struct MoveSlopes {
  Tensor by_delta, by_reference;

  static MoveSlopes of(const Tensor& boxes, const Tensor& reference, bool of_reference) {
    return {torch::stable::new_empty(boxes, boxes.sizes()),
            of_reference ? torch::stable::new_empty(reference, reference.sizes())
                         : torch::stable::new_empty(reference, {0})};
  }

  float* of_delta() { return mutable_elements_of<float>(by_delta); }
  float* of_reference() {
    return by_reference.dim() == 1 ? nullptr : mutable_elements_of<float>(by_reference);
  }
};

}  // namespace hdetr
