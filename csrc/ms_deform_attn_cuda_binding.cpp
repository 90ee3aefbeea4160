// The CUDA kernels in PyTorch's dispatcher. The schemas are registered with the CPU kernels.
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>
#include <vector>

#include "cuda_device.h"
#include "cuda_scratch.h"
#include "ms_deform_attn_checks.h"
#include "ms_deform_attn_cuda.h"
#include "ms_deform_attn_cuda_limits.h"
#include "tensor_elements.h"

namespace hdetr::cuda {
namespace {

// The checked, contiguous arguments.
struct Inputs {
  Tensor value, locations, weights;
  Problem problem;

  Inputs(const Tensor& any_value, const std::vector<int64_t>& shapes, const Tensor& any_locations,
         const Tensor& any_weights)
      : value(torch::stable::contiguous(any_value)),
        locations(torch::stable::contiguous(any_locations)),
        weights(torch::stable::contiguous(any_weights)),
        problem{type_of(value), type_of(weights),
                check_arguments(value, shapes, locations, weights), shapes} {
    check_limits(value, problem.sizes);
  }
};

Tensor ms_deform_attn(Tensor value, std::vector<int64_t> shapes, Tensor locations, Tensor weights) {
  const Inputs inputs(value, shapes, locations, weights);
  const Sizes& sizes = inputs.problem.sizes;
  const Device device(inputs.value);
  Tensor output = torch::stable::new_empty(
      inputs.value, {sizes.batch, sizes.queries, sizes.heads * sizes.channels});
  STD_CUDA_CHECK(launch_ms_deform_attn(
      inputs.problem, launch_shape(inputs.problem, kMaxForwardThreads),
      inputs.value.const_data_ptr(), inputs.locations.const_data_ptr(),
      inputs.weights.const_data_ptr(), output.mutable_data_ptr(), device.stream()));
  return output;
}

std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_backward(Tensor grad_output, Tensor value,
                                                           std::vector<int64_t> shapes,
                                                           Tensor locations, Tensor weights,
                                                           bool deterministic) {
  const Inputs inputs(value, shapes, locations, weights);
  check_grad_output(grad_output, inputs.value, inputs.problem.sizes);
  grad_output = torch::stable::contiguous(grad_output);
  const Device device(inputs.value);
  Tensor grad_value = torch::stable::new_empty(inputs.value, inputs.value.sizes());
  Tensor grad_locations = torch::stable::new_empty(inputs.locations, inputs.locations.sizes());
  Tensor grad_weights = torch::stable::new_empty(inputs.weights, inputs.weights.sizes());
  const Scratch workspace(backward_workspace_bytes(inputs.problem, deterministic));
  const BackwardTensors tensors{
      grad_output.const_data_ptr(),      inputs.value.const_data_ptr(),
      inputs.locations.const_data_ptr(), inputs.weights.const_data_ptr(),
      grad_value.mutable_data_ptr(),     grad_locations.mutable_data_ptr(),
      grad_weights.mutable_data_ptr(),   workspace.get()};
  STD_CUDA_CHECK(launch_ms_deform_attn_backward(inputs.problem,
                                                launch_shape(inputs.problem, kMaxBackwardThreads),
                                                tensors, deterministic, device.stream()));
  return {grad_value, grad_locations, grad_weights};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("ms_deform_attn", TORCH_BOX(&ms_deform_attn));
  m.impl("ms_deform_attn_backward", TORCH_BOX(&ms_deform_attn_backward));
}

}  // namespace hdetr::cuda
