// The operators in PyTorch's dispatcher: their schemas, and their CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <tuple>

#include "move_boxes_checks.h"
#include "move_boxes_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kRowsWorthAThread = 4096;  // about 10 microseconds

Tensor move_boxes_on_cpu(Tensor delta, Tensor reference, double eps) {
  check_reference(reference, eps);
  check_four(delta, reference, "delta");
  delta = torch::stable::contiguous(delta);
  reference = torch::stable::contiguous(reference);
  const MoveArguments given = move_arguments(reference, eps);
  Tensor boxes = torch::stable::new_empty(delta, delta.sizes());
  const auto* const from = elements_of<float>(delta);
  auto* const to = mutable_elements_of<float>(boxes);
  torch::stable::parallel_for(
      0, given.sizes.rows, kRowsWorthAThread,
      [&](int64_t first, int64_t last) { move_boxes(given, from, to, first, last); });
  return boxes;
}

std::tuple<Tensor, Tensor> move_boxes_backward_on_cpu(Tensor grad_boxes, Tensor boxes,
                                                      Tensor reference, double eps,
                                                      bool of_reference) {
  check_reference(reference, eps);
  check_four(boxes, reference, "boxes");
  check_four(grad_boxes, reference, "the gradient of the boxes");
  grad_boxes = torch::stable::contiguous(grad_boxes);
  boxes = torch::stable::contiguous(boxes);
  reference = torch::stable::contiguous(reference);
  const MoveArguments given = move_arguments(reference, eps);
  auto slopes = MoveSlopes::of(boxes, reference, of_reference);
  const MoveGradients gradients{elements_of<float>(boxes), elements_of<float>(grad_boxes),
                                slopes.of_delta(), slopes.of_reference()};
  torch::stable::parallel_for(
      0, given.sizes.rows, kRowsWorthAThread,
      [&](int64_t first, int64_t last) { differentiate_moves(given, gradients, first, last); });
  return {slopes.by_delta, slopes.by_reference};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def("move_boxes(Tensor delta, Tensor reference, float eps) -> Tensor");
  m.def(
      "move_boxes_backward(Tensor grad_boxes, Tensor boxes, Tensor reference, float eps, "
      "bool of_reference) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("move_boxes", TORCH_BOX(&move_boxes_on_cpu));
  m.impl("move_boxes_backward", TORCH_BOX(&move_boxes_backward_on_cpu));
}

}  // namespace hdetr
