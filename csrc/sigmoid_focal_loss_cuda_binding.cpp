// The CUDA kernels in PyTorch's dispatcher. The schemas are registered with the CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "cuda_device.h"
#include "cuda_scratch.h"
#include "sigmoid_focal_loss_checks.h"
#include "sigmoid_focal_loss_cuda.h"

namespace hdetr::cuda {
namespace {

constexpr int64_t kMostClasses = 1 << 30;  // the kernels use 32 bits for them

void check(const Tensor& logits, const Tensor& labels, double gamma) {
  check_focal(logits, labels, gamma);
  HDETR_FOCAL_CHECK(logits.is_cuda(), "logits must be on a CUDA device.");
  HDETR_FOCAL_CHECK(logits.size(3) <= kMostClasses, "the CUDA kernels take 2^30 classes at most.");
}

Tensor sigmoid_focal_loss(Tensor logits, Tensor labels, double alpha, double gamma) {
  check(logits, labels, gamma);
  logits = torch::stable::contiguous(logits);
  labels = torch::stable::contiguous(labels);
  const FocalArguments given = focal_arguments(logits, labels, alpha, gamma);
  const Device device(logits);
  Tensor loss = torch::stable::new_empty(logits, {given.sizes.layers}, ScalarType::Float);
  const Scratch sums(count_partial_sums(given.sizes) * int64_t(sizeof(float)));
  STD_CUDA_CHECK(launch_sigmoid_focal_loss(given, static_cast<float*>(sums.get()),
                                           mutable_elements_of<float>(loss), {}, device.stream()));
  return loss;
}

Tensor sigmoid_focal_loss_backward(Tensor grad_loss, Tensor logits, Tensor labels, double alpha,
                                   double gamma) {
  check(logits, labels, gamma);
  check_grad_loss(grad_loss, logits);
  grad_loss = torch::stable::contiguous(grad_loss);
  logits = torch::stable::contiguous(logits);
  labels = torch::stable::contiguous(labels);
  const FocalArguments given = focal_arguments(logits, labels, alpha, gamma);
  const Device device(logits);
  Tensor grad_logits = torch::stable::new_empty(logits, logits.sizes());
  STD_CUDA_CHECK(launch_sigmoid_focal_loss_backward(
      given, elements_of<float>(grad_loss), grad_logits.mutable_data_ptr(), {}, device.stream()));
  return grad_logits;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("sigmoid_focal_loss", TORCH_BOX(&sigmoid_focal_loss));
  m.impl("sigmoid_focal_loss_backward", TORCH_BOX(&sigmoid_focal_loss_backward));
}

}  // namespace hdetr::cuda
