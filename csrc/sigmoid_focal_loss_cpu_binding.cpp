// The operators in PyTorch's dispatcher: their schemas, and their CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

#include "buffer.h"
#include "sigmoid_focal_loss_checks.h"
#include "sigmoid_focal_loss_cpu.h"

namespace hdetr {
namespace {

constexpr int64_t kTasksWorthAThread = 2;  // about 20 microseconds

Tensor sigmoid_focal_loss(Tensor logits, Tensor labels, double alpha, double gamma) {
  check_focal(logits, labels, gamma);
  logits = torch::stable::contiguous(logits);
  labels = torch::stable::contiguous(labels);
  const FocalArguments arguments = focal_arguments(logits, labels, alpha, gamma);
  Tensor loss = torch::stable::new_empty(logits, {arguments.sizes.layers}, ScalarType::Float);
  const int64_t tasks = count_tasks(arguments.sizes);
  const Buffer<double> sums(tasks);
  torch::stable::parallel_for(0, tasks, kTasksWorthAThread, [&](int64_t first, int64_t last) {
    sum_losses(arguments, first, last, sums.get());
  });
  add_sums(arguments.sizes, sums.get(), mutable_elements_of<float>(loss));
  return loss;
}

Tensor sigmoid_focal_loss_backward(Tensor grad_loss, Tensor logits, Tensor labels, double alpha,
                                   double gamma) {
  check_focal(logits, labels, gamma);
  check_grad_loss(grad_loss, logits);
  grad_loss = torch::stable::contiguous(grad_loss);
  logits = torch::stable::contiguous(logits);
  labels = torch::stable::contiguous(labels);
  const FocalArguments arguments = focal_arguments(logits, labels, alpha, gamma);
  Tensor grad_logits = torch::stable::new_empty(logits, logits.sizes());
  const Array gradient{grad_logits.mutable_data_ptr(), arguments.logits.type};
  torch::stable::parallel_for(
      0, count_tasks(arguments.sizes), kTasksWorthAThread, [&](int64_t first, int64_t last) {
        differentiate(arguments, elements_of<float>(grad_loss), gradient, first, last);
      });
  return grad_logits;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def("sigmoid_focal_loss(Tensor logits, Tensor labels, float alpha, float gamma) -> Tensor");
  m.def(
      "sigmoid_focal_loss_backward(Tensor grad_loss, Tensor logits, Tensor labels, float alpha, "
      "float gamma) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("sigmoid_focal_loss", TORCH_BOX(&sigmoid_focal_loss));
  m.impl("sigmoid_focal_loss_backward", TORCH_BOX(&sigmoid_focal_loss_backward));
}

}  // namespace hdetr
