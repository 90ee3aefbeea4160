// The operators in PyTorch's dispatcher: their schemas, and their CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

#include "box_losses_checks.h"
#include "box_losses_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kRowsWorthAThread = 16384;  // about 30 microseconds, if few have a target

Tensor box_losses_on_cpu(Tensor boxes, Tensor truth, Tensor index) {
  const auto given = BoxLossTensors::of(boxes, truth, index);
  Tensor losses = given.new_losses();
  auto* const to = mutable_elements_of<BoxLoss>(losses);
  torch::stable::parallel_for(0, given.rows(), kRowsWorthAThread, [&](int64_t first, int64_t last) {
    box_losses(given.arguments(), to, first, last);
  });
  return losses;
}

Tensor box_losses_backward_on_cpu(Tensor grad_losses, Tensor boxes, Tensor truth, Tensor index) {
  const auto given = BoxLossTensors::of(boxes, truth, index);
  check_grad_losses(grad_losses, boxes);
  grad_losses = torch::stable::contiguous(grad_losses);
  Tensor gradient = given.new_gradient();
  const auto* const from = elements_of<BoxLoss>(grad_losses);
  auto* const to = mutable_elements_of<BoxSlope>(gradient);
  torch::stable::parallel_for(0, given.rows(), kRowsWorthAThread, [&](int64_t first, int64_t last) {
    differentiate_boxes(given.arguments(), from, to, first, last);
  });
  return gradient;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def("box_losses(Tensor boxes, Tensor truth, Tensor index) -> Tensor");
  m.def(
      "box_losses_backward(Tensor grad_losses, Tensor boxes, Tensor truth, Tensor index) -> "
      "Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("box_losses", TORCH_BOX(&box_losses_on_cpu));
  m.impl("box_losses_backward", TORCH_BOX(&box_losses_backward_on_cpu));
}

}  // namespace hdetr
