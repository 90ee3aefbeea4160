// The tensors of the box losses, for CPU and CUDA: checked, since kernels trust their arguments,
// and converted to what kernels take.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

#include "box_losses.h"
#include "tensor_elements.h"

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_BOX_CHECK(condition, ...) STD_TORCH_CHECK(condition, "box_losses: ", __VA_ARGS__)

inline bool has_sizes(const Tensor& tensor, int64_t problems, int64_t rows, int64_t numbers) {
  return tensor.dim() == 3 && tensor.size(0) == problems && tensor.size(1) == rows &&
         tensor.size(2) == numbers;
}

inline void check_boxes(const Tensor& boxes, const Tensor& truth, const Tensor& index) {
  HDETR_BOX_CHECK(boxes.dim() == 3 && boxes.size(2) == 4, "boxes must be [P, N, 4].");
  const int64_t problems = boxes.size(0), rows = boxes.size(1);
  HDETR_BOX_CHECK(truth.dim() == 3 && has_sizes(truth, problems, truth.size(1), 4),
                  "truth must be [P, G, 4], as boxes are [P, N, 4].");
  HDETR_BOX_CHECK(index.dim() == 2 && index.size(0) == problems && index.size(1) == rows,
                  "index must be [P, N], as boxes are [P, N, 4].");
  for (const Tensor* tensor : {&boxes, &truth}) {
    HDETR_BOX_CHECK(tensor->scalar_type() == ScalarType::Float, "boxes and truth must be float32.");
  }
  HDETR_BOX_CHECK(index.scalar_type() == ScalarType::Long, "index must be int64.");
  for (const Tensor* tensor : {&truth, &index}) {
    HDETR_BOX_CHECK(tensor->device() == boxes.device(), "all must be on the device of boxes.");
  }
}

inline void check_grad_losses(const Tensor& grad_losses, const Tensor& boxes) {
  HDETR_BOX_CHECK(has_sizes(grad_losses, boxes.size(0), boxes.size(1), 2),
                  "the gradient of the losses must be [P, N, 2].");
  HDETR_BOX_CHECK(grad_losses.scalar_type() == ScalarType::Float,
                  "the gradient of the losses must be float32.");
  HDETR_BOX_CHECK(grad_losses.device() == boxes.device(),
                  "the gradient of the losses must be on the device of boxes.");
}

// Checked, contiguous tensors, which must outlive the arguments.
struct BoxLossTensors {
  Tensor boxes, truth, index;

  static BoxLossTensors of(const Tensor& boxes, const Tensor& truth, const Tensor& index) {
    check_boxes(boxes, truth, index);
    return {torch::stable::contiguous(boxes), torch::stable::contiguous(truth),
            torch::stable::contiguous(index)};
  }

  int64_t rows() const { return boxes.size(0) * boxes.size(1); }

  BoxLossArguments arguments() const {
    return {{boxes.size(0), boxes.size(1), truth.size(1)},
            elements_of<float>(boxes),
            elements_of<float>(truth),
            elements_of<int64_t>(index)};
  }

  Tensor new_losses() const {
    return torch::stable::new_empty(boxes, {boxes.size(0), boxes.size(1), 2});
  }
  Tensor new_gradient() const { return torch::stable::new_empty(boxes, boxes.sizes()); }
};

}  // namespace hdetr
