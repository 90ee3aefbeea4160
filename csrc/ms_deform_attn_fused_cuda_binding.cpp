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
#include "ms_deform_attn_cuda_limits.h"
#include "ms_deform_attn_fused_checks.h"
#include "ms_deform_attn_fused_cuda.h"
#include "tensor_elements.h"

namespace hdetr::cuda {
namespace {

// The checked, contiguous arguments.
struct Inputs {
  Tensor value, reference, rows;
  Problem problem;

  Inputs(const Tensor& any_value, const std::vector<int64_t>& shapes, const Tensor& any_reference,
         const Tensor& any_rows)
      : value(torch::stable::contiguous(any_value)),
        reference(torch::stable::contiguous(any_reference)),
        rows(torch::stable::contiguous(any_rows)),
        problem{type_of(value), type_of(rows), check_row_arguments(value, shapes, reference, rows),
                shapes} {
    check_limits(value, problem.sizes);
  }

  RowTensors tensors() const {
    return {reference.const_data_ptr(), reference.size(3) == 4, rows.const_data_ptr()};
  }
};

Tensor ms_deform_attn_fused(Tensor value, std::vector<int64_t> shapes, Tensor reference,
                            Tensor rows) {
  const Inputs inputs(value, shapes, reference, rows);
  const Sizes& sizes = inputs.problem.sizes;
  const Device device(inputs.value);
  Tensor output = torch::stable::new_empty(
      inputs.value, {sizes.batch, sizes.queries, sizes.heads * sizes.channels});
  STD_CUDA_CHECK(launch_ms_deform_attn_fused(
      inputs.problem, launch_shape(inputs.problem, kMaxForwardThreads),
      inputs.value.const_data_ptr(), inputs.tensors(), output.mutable_data_ptr(), device.stream()));
  return output;
}

std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_fused_backward(Tensor grad_output, Tensor value,
                                                                 std::vector<int64_t> shapes,
                                                                 Tensor reference, Tensor rows,
                                                                 bool of_reference,
                                                                 bool deterministic) {
  const Inputs inputs(value, shapes, reference, rows);
  const Sizes& sizes = inputs.problem.sizes;
  check_grad_output(grad_output, inputs.value, sizes);
  grad_output = torch::stable::contiguous(grad_output);
  const Device device(inputs.value);
  Tensor grad_value = torch::stable::new_empty(inputs.value, inputs.value.sizes());
  Tensor grad_rows = torch::stable::new_empty(inputs.rows, inputs.rows.sizes());
  Tensor grad_reference = of_reference
                              ? torch::stable::new_empty(inputs.reference, inputs.reference.sizes())
                              : torch::stable::new_empty(inputs.reference, {0});
  const int64_t samples = sizes.batch * sizes.queries * sizes.heads * sizes.levels * sizes.points;
  const int64_t bytes = samples * element_size(type_of(inputs.reference));
  const bool in_place = inputs.rows.scalar_type() == inputs.reference.scalar_type();
  const Scratch by_weights(in_place ? 0 : bytes), by_locations(of_reference ? 2 * bytes : 0);
  const Scratch workspace(backward_workspace_bytes(inputs.problem, deterministic));
  const FusedBackwardTensors tensors{grad_output.const_data_ptr(),
                                     inputs.value.const_data_ptr(),
                                     inputs.tensors(),
                                     grad_value.mutable_data_ptr(),
                                     grad_rows.mutable_data_ptr(),
                                     of_reference ? grad_reference.mutable_data_ptr() : nullptr,
                                     by_weights.get(),
                                     of_reference ? by_locations.get() : nullptr,
                                     workspace.get()};
  STD_CUDA_CHECK(launch_ms_deform_attn_fused_backward(
      inputs.problem, launch_shape(inputs.problem, kMaxBackwardThreads), tensors, deterministic,
      device.stream()));
  return {grad_value, grad_reference, grad_rows};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CUDA, m) {
  m.impl("ms_deform_attn_fused", TORCH_BOX(&ms_deform_attn_fused));
  m.impl("ms_deform_attn_fused_backward", TORCH_BOX(&ms_deform_attn_fused_backward));
}

}  // namespace hdetr::cuda
