// Fused multi-scale deformable attention on CUDA: the backward.
#include "ms_deform_attn_backward_cuda_steps.cuh"
#include "ms_deform_attn_fused_cuda_launch.cuh"

namespace hdetr::cuda {
namespace {

// Gradients with respect to weights need the precision of sums: they are stored in the rows if
// these have it.
template <class Samples>
typename Samples::Gradients gradients_of(const Samples& samples,
                                         const FusedBackwardTensors& tensors) {
  using Real = typename Samples::Real;
  using Row = typename Samples::Row;
  auto* const rows = static_cast<Row*>(tensors.grad_rows);
  auto* const locations = static_cast<Real*>(tensors.by_locations);
  const RowLayout& row = samples.row;
  if constexpr (std::is_same_v<Row, Real>) {
    return {rows, rows + row.first_logit, row.size, locations};
  } else {
    return {rows, static_cast<Real*>(tensors.by_weights), row.size - row.first_logit, locations};
  }
}

template <class Samples>
cudaError_t sum_reference(const Problem& problem, const LaunchShape& shape,
                          const FusedBackwardTensors& tensors, const Samples& samples,
                          cudaStream_t stream) {
  using Real = typename Samples::Real;
  const Sizes& sizes = problem.sizes;
  const int64_t count = sizes.batch * sizes.queries * sizes.levels;
  return launch(differentiate_reference<Samples>, array_grid(count, shape), shape.threads, stream,
                samples, count, int32_t(sizes.heads), int32_t(sizes.points),
                static_cast<const Real*>(tensors.by_locations),
                static_cast<Real*>(tensors.grad_reference));
}

}  // namespace

cudaError_t launch_ms_deform_attn_fused_backward(const Problem& problem, const LaunchShape& shape,
                                                 const FusedBackwardTensors& tensors,
                                                 bool deterministic, cudaStream_t stream) {
  const bool nothing = has_no_pairs(problem.sizes);
  return with_types(problem, [&](auto value_tag, auto row_tag) {
    using T = typename decltype(value_tag)::type;
    using Samples = RowSamples<RealFor<T>, typename decltype(row_tag)::type>;
    const auto samples = samples_of<Samples>(problem, tensors.rows);
    const BackwardBuffers buffers{tensors.grad_output, tensors.value, tensors.grad_value,
                                  tensors.workspace};
    const cudaError_t error =
        nothing ? zero_value(problem, tensors.grad_value, stream)
                : run_backward<T>(problem, shape, buffers, samples, gradients_of(samples, tensors),
                                  deterministic, stream);
    const bool asked = tensors.grad_reference && problem.sizes.batch * problem.sizes.queries > 0;
    if (error != cudaSuccess || !asked) return error;
    return sum_reference(problem, shape, tensors, samples, stream);
  });
}

}  // namespace hdetr::cuda
