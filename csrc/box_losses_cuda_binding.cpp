// The CUDA kernels in PyTorch's dispatcher. The schemas are registered with the CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "box_losses_checks.h"
#include "box_losses_cuda.h"
#include "cuda_device.h"

namespace hdetr::cuda {
namespace {

Tensor box_losses(Tensor boxes, Tensor truth, Tensor index) {
  HDETR_BOX_CHECK(boxes.is_cuda(), "boxes must be on a CUDA device.");
  const auto given = BoxLossTensors::of(boxes, truth, index);
  const Device device(boxes);
  Tensor losses = given.new_losses();
  STD_CUDA_CHECK(launch_box_losses(given.arguments(), mutable_elements_of<BoxLoss>(losses), {},
                                   device.stream()));
  return losses;
}

Tensor box_losses_backward(Tensor grad_losses, Tensor boxes, Tensor truth, Tensor index) {
  HDETR_BOX_CHECK(boxes.is_cuda(), "boxes must be on a CUDA device.");
  const auto given = BoxLossTensors::of(boxes, truth, index);
  check_grad_losses(grad_losses, boxes);
  grad_losses = torch::stable::contiguous(grad_losses);
  const Device device(boxes);
  Tensor gradient = given.new_gradient();
  STD_CUDA_CHECK(launch_box_losses_backward(given.arguments(), elements_of<BoxLoss>(grad_losses),
                                            mutable_elements_of<BoxSlope>(gradient), {},
                                            device.stream()));
  return gradient;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("box_losses", TORCH_BOX(&box_losses));
  m.impl("box_losses_backward", TORCH_BOX(&box_losses_backward));
}

}  // namespace hdetr::cuda
