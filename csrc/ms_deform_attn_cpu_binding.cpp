// The operators in PyTorch's dispatcher: their schemas, and their CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>
#include <vector>

#include "ms_deform_attn_checks.h"
#include "ms_deform_attn_cpu.h"
#include "ms_deform_attn_cpu_parallel.h"
#include "tensor_elements.h"

namespace hdetr {
namespace {

template <class Real>
void forward(const Sizes& sizes, const std::vector<int64_t>& shapes, const Tensor& value,
             const Tensor& locations, const Tensor& weights, Tensor& output) {
  const std::vector<Level<Real>> levels = make_levels<Real>(shapes);
  run_in_parallel(
      ForwardArguments<GivenPoints<Real>>{sizes,
                                          levels.data(),
                                          array_of(value),
                                          {elements_of<Real>(locations), array_of(weights)},
                                          mutable_array_of(output)});
}

Tensor ms_deform_attn(Tensor value, std::vector<int64_t> shapes, Tensor locations, Tensor weights) {
  const Sizes sizes = check_arguments(value, shapes, locations, weights);
  value = torch::stable::contiguous(value);
  locations = torch::stable::contiguous(locations);
  weights = torch::stable::contiguous(weights);
  Tensor output =
      torch::stable::new_empty(value, {sizes.batch, sizes.queries, sizes.heads * sizes.channels});
  const bool wide = value.scalar_type() == ScalarType::Double;
  (wide ? forward<double> : forward<float>)(sizes, shapes, value, locations, weights, output);
  return output;
}

template <class Real>
void backward(const Sizes& sizes, const std::vector<int64_t>& shapes, const Tensor& grad_output,
              const Tensor& value, const Tensor& locations, const Tensor& weights,
              Tensor& grad_value, Tensor& grad_locations, Tensor& grad_weights) {
  const std::vector<Level<Real>> levels = make_levels<Real>(shapes);
  run_in_parallel(BackwardArguments<GivenPoints<Real>>{
      sizes,
      levels.data(),
      array_of(grad_output),
      array_of(value),
      {elements_of<Real>(locations), array_of(weights)},
      mutable_array_of(grad_value),
      {mutable_elements_of<Real>(grad_locations), mutable_array_of(grad_weights)}});
}

// On the CPU the order of additions is always the same.
std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_backward(Tensor grad_output, Tensor value,
                                                           std::vector<int64_t> shapes,
                                                           Tensor locations, Tensor weights,
                                                           bool /*deterministic*/) {
  const Sizes sizes = check_arguments(value, shapes, locations, weights);
  check_grad_output(grad_output, value, sizes);
  grad_output = torch::stable::contiguous(grad_output);
  value = torch::stable::contiguous(value);
  locations = torch::stable::contiguous(locations);
  weights = torch::stable::contiguous(weights);
  Tensor grad_value = torch::stable::new_zeros(value, value.sizes());
  Tensor grad_locations = torch::stable::new_empty(locations, locations.sizes());
  Tensor grad_weights = torch::stable::new_empty(weights, weights.sizes());
  const bool wide = value.scalar_type() == ScalarType::Double;
  (wide ? backward<double> : backward<float>)(sizes, shapes, grad_output, value, locations, weights,
                                              grad_value, grad_locations, grad_weights);
  return {grad_value, grad_locations, grad_weights};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def(
      "ms_deform_attn(Tensor value, SymInt[] spatial_shapes, Tensor sampling_locations, "
      "Tensor attention_weights) -> Tensor");
  m.def(
      "ms_deform_attn_backward(Tensor grad_output, Tensor value, SymInt[] spatial_shapes, "
      "Tensor sampling_locations, Tensor attention_weights, bool deterministic) -> "
      "(Tensor, Tensor, Tensor)");
  m.def("cpu_vector_bits() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("ms_deform_attn", TORCH_BOX(&ms_deform_attn));
  m.impl("ms_deform_attn_backward", TORCH_BOX(&ms_deform_attn_backward));
}

// Width in bits of the vectors that the CPU kernels use on this processor.
STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CompositeExplicitAutograd, m) {
  m.impl("cpu_vector_bits", TORCH_BOX(&vector_bits));
}

}  // namespace hdetr
