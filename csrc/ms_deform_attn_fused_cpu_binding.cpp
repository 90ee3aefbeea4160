// The operator in PyTorch's dispatcher: its schemas, and its CPU kernels.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <tuple>
#include <vector>

#include "ms_deform_attn_cpu_parallel.h"
#include "ms_deform_attn_fused_checks.h"
#include "ms_deform_attn_fused_cpu.h"
#include "tensor_elements.h"

namespace hdetr {
namespace {

// The checked, contiguous arguments.
struct Inputs {
  Tensor value, reference, rows;
  Sizes sizes;
  const std::vector<int64_t>& shapes;

  Inputs(const Tensor& any_value, const std::vector<int64_t>& shapes, const Tensor& any_reference,
         const Tensor& any_rows)
      : value(torch::stable::contiguous(any_value)),
        reference(torch::stable::contiguous(any_reference)),
        rows(torch::stable::contiguous(any_rows)),
        sizes(check_row_arguments(value, shapes, reference, rows)),
        shapes(shapes) {}

  bool is_wide() const { return value.scalar_type() == ScalarType::Double; }
  bool of_boxes() const { return reference.size(3) == 4; }
  template <class Real>
  RowPoints<Real> points() const {
    return {elements_of<Real>(reference), of_boxes(), array_of(rows)};
  }
};

template <class Real>
void forward(const Inputs& inputs, Tensor& output) {
  const std::vector<Level<Real>> levels = make_levels<Real>(inputs.shapes);
  run_in_parallel(ForwardArguments<RowPoints<Real>>{inputs.sizes, levels.data(),
                                                    array_of(inputs.value), inputs.points<Real>(),
                                                    mutable_array_of(output)});
}

Tensor ms_deform_attn_fused(Tensor value, std::vector<int64_t> shapes, Tensor reference,
                            Tensor rows) {
  const Inputs inputs(value, shapes, reference, rows);
  const Sizes& sizes = inputs.sizes;
  Tensor output = torch::stable::new_empty(
      inputs.value, {sizes.batch, sizes.queries, sizes.heads * sizes.channels});
  (inputs.is_wide() ? forward<double> : forward<float>)(inputs, output);
  return output;
}

struct Gradients {
  Tensor value, reference, rows;
};

// Gradients with respect to weights need the precision of sums: they are stored in the rows if
// these have it.
template <class Real>
void backward(const Inputs& inputs, const Tensor& grad_output, bool of_reference,
              Gradients& result) {
  const Sizes& sizes = inputs.sizes;
  const RowLayout row = RowLayout::of(sizes);
  const std::vector<Level<Real>> levels = make_levels<Real>(inputs.shapes);
  const bool in_place = inputs.rows.scalar_type() == inputs.reference.scalar_type();
  const int64_t queries = sizes.batch * sizes.queries, weights = row.size - row.first_logit;
  std::optional<Tensor> own_weights, locations;
  typename RowPoints<Real>::Gradients gradients{mutable_array_of(result.rows), nullptr, row.size,
                                                nullptr};
  if (in_place) {
    gradients.weights = mutable_elements_of<Real>(result.rows) + row.first_logit;
  } else {
    own_weights = torch::stable::new_empty(inputs.reference, {queries, weights});
    gradients.weights = mutable_elements_of<Real>(*own_weights);
    gradients.weights_row = weights;
  }
  if (of_reference) {
    locations = torch::stable::new_empty(inputs.reference, {queries, weights, 2});
    gradients.locations = mutable_elements_of<Real>(*locations);
  }
  run_in_parallel(BackwardArguments<RowPoints<Real>>{sizes, levels.data(), array_of(grad_output),
                                                     array_of(inputs.value), inputs.points<Real>(),
                                                     mutable_array_of(result.value), gradients});
  run_in_parallel(
      SoftmaxArguments<Real>{sizes, inputs.points<Real>(), gradients,
                             of_reference ? mutable_elements_of<Real>(result.reference) : nullptr});
}

// On the CPU the order of additions is always the same.
std::tuple<Tensor, Tensor, Tensor> ms_deform_attn_fused_backward(Tensor grad_output, Tensor value,
                                                                 std::vector<int64_t> shapes,
                                                                 Tensor reference, Tensor rows,
                                                                 bool of_reference,
                                                                 bool /*deterministic*/) {
  const Inputs inputs(value, shapes, reference, rows);
  check_grad_output(grad_output, inputs.value, inputs.sizes);
  grad_output = torch::stable::contiguous(grad_output);
  Tensor by_reference = of_reference
                            ? torch::stable::new_empty(inputs.reference, inputs.reference.sizes())
                            : torch::stable::new_empty(inputs.reference, {0});
  Gradients result{torch::stable::new_zeros(inputs.value, inputs.value.sizes()), by_reference,
                   torch::stable::new_empty(inputs.rows, inputs.rows.sizes())};
  (inputs.is_wide() ? backward<double> : backward<float>)(inputs, grad_output, of_reference,
                                                          result);
  return {result.value, result.reference, result.rows};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def(
      "ms_deform_attn_fused(Tensor value, SymInt[] spatial_shapes, Tensor reference, Tensor rows) "
      "-> Tensor");
  m.def(
      "ms_deform_attn_fused_backward(Tensor grad_output, Tensor value, SymInt[] spatial_shapes, "
      "Tensor reference, Tensor rows, bool of_reference, bool deterministic) -> "
      "(Tensor, Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) {
  m.impl("ms_deform_attn_fused", TORCH_BOX(&ms_deform_attn_fused));
  m.impl("ms_deform_attn_fused_backward", TORCH_BOX(&ms_deform_attn_fused_backward));
}

}  // namespace hdetr
