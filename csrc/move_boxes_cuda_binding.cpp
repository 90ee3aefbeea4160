// The CUDA kernels in PyTorch's dispatcher. The schemas are registered with the CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>

#include "cuda_device.h"
#include "move_boxes_checks.h"
#include "move_boxes_cuda.h"

namespace hdetr::cuda {
namespace {

void check(const Tensor& reference, double eps) {
  HDETR_MOVE_CHECK(reference.is_cuda(), "the reference must be on a CUDA device.");
  check_reference(reference, eps);
}

Tensor move_boxes(Tensor delta, Tensor reference, double eps) {
  check(reference, eps);
  check_four(delta, reference, "delta");
  const Device device(delta);
  delta = torch::stable::contiguous(delta);
  reference = torch::stable::contiguous(reference);
  Tensor boxes = torch::stable::new_empty(delta, delta.sizes());
  STD_CUDA_CHECK(launch_move_boxes(move_arguments(reference, eps), elements_of<float>(delta),
                                   mutable_elements_of<float>(boxes), {}, device.stream()));
  return boxes;
}

std::tuple<Tensor, Tensor> move_boxes_backward(Tensor grad_boxes, Tensor boxes, Tensor reference,
                                               double eps, bool of_reference) {
  check(reference, eps);
  check_four(boxes, reference, "boxes");
  check_four(grad_boxes, reference, "the gradient of the boxes");
  const Device device(boxes);
  grad_boxes = torch::stable::contiguous(grad_boxes);
  boxes = torch::stable::contiguous(boxes);
  reference = torch::stable::contiguous(reference);
  auto slopes = MoveSlopes::of(boxes, reference, of_reference);
  STD_CUDA_CHECK(launch_move_boxes_backward(
      move_arguments(reference, eps), elements_of<float>(grad_boxes), elements_of<float>(boxes),
      slopes.of_delta(), slopes.of_reference(), {}, device.stream()));
  return {slopes.by_delta, slopes.by_reference};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("move_boxes", TORCH_BOX(&move_boxes));
  m.impl("move_boxes_backward", TORCH_BOX(&move_boxes_backward));
}

}  // namespace hdetr::cuda
