// The CUDA kernels in PyTorch's dispatcher. The schemas are registered with the CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <tuple>

#include "affine_relu_checks.h"
#include "affine_relu_cuda.h"
#include "cuda_device.h"

namespace hdetr::cuda {
namespace {

Tensor affine_relu(Tensor x, Tensor scale, Tensor shift, std::optional<Tensor> residual,
                   double ceiling) {
  HDETR_AFFINE_CHECK(x.is_cuda(), "x must be on a CUDA device.");
  const Device device(x);
  AffineForward call(x, scale, shift, residual, ceiling);
  STD_CUDA_CHECK(
      launch_affine_relu(call.form, call.inputs, mutable_array_of(call.y), {}, device.stream()));
  return call.y;
}

std::tuple<Tensor, Tensor> affine_relu_backward(Tensor gradient, Tensor y, Tensor scale,
                                                double ceiling, bool of_residual) {
  HDETR_AFFINE_CHECK(y.is_cuda(), "y must be on a CUDA device.");
  const Device device(y);
  const AffineBackward call(gradient, y, scale, ceiling, of_residual);
  STD_CUDA_CHECK(launch_affine_relu_backward(call.form, call.gradients, {}, device.stream()));
  return {call.by_x, call.by_residual};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("affine_relu", TORCH_BOX(&affine_relu));
  m.impl("affine_relu_backward", TORCH_BOX(&affine_relu_backward));
}

}  // namespace hdetr::cuda
