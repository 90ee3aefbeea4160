// The operators in PyTorch's dispatcher: their schemas, and their CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "affine_relu_checks.h"
#include "affine_relu_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kTasksWorthAThread = 4;  // about 20 microseconds

Tensor affine_relu(Tensor x, Tensor scale, Tensor shift, std::optional<Tensor> residual,
                   double ceiling) {
  AffineForward call(x, scale, shift, residual, ceiling);
  const Array y = mutable_array_of(call.y);
  torch::stable::parallel_for(
      0, count_tasks(call.form), kTasksWorthAThread,
      [&](int64_t first, int64_t last) { apply_affine(call.form, call.inputs, y, first, last); });
  return call.y;
}

std::tuple<Tensor, Tensor> affine_relu_backward(Tensor gradient, Tensor y, Tensor scale,
                                                double ceiling, bool of_residual) {
  const AffineBackward call(gradient, y, scale, ceiling, of_residual);
  torch::stable::parallel_for(0, count_tasks(call.form), kTasksWorthAThread,
                              [&](int64_t first, int64_t last) {
                                differentiate_affine(call.form, call.gradients, first, last);
                              });
  return {call.by_x, call.by_residual};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def(
      "affine_relu(Tensor x, Tensor scale, Tensor shift, Tensor? residual, float ceiling) "
      "-> Tensor");
  m.def(
      "affine_relu_backward(Tensor gradient, Tensor y, Tensor scale, float ceiling, "
      "bool of_residual) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("affine_relu", TORCH_BOX(&affine_relu));
  m.impl("affine_relu_backward", TORCH_BOX(&affine_relu_backward));
}

}  // namespace hdetr
