// Multi-scale deformable attention on CUDA: the backward.
#include "ms_deform_attn_backward_cuda_steps.cuh"

namespace hdetr::cuda {

int64_t backward_workspace_bytes(const Problem& problem, bool deterministic) {
  const int64_t count = count_value(problem.sizes);
  if (deterministic) return kExtremesBytes + count * int64_t(sizeof(unsigned long long));
  return element_size(problem.value) == 2 ? count * int64_t(sizeof(float)) : 0;
}

cudaError_t launch_ms_deform_attn_backward(const Problem& problem, const LaunchShape& shape,
                                           const BackwardTensors& tensors, bool deterministic,
                                           cudaStream_t stream) {
  if (has_no_pairs(problem.sizes)) return zero_value(problem, tensors.grad_value, stream);
  return with_types(problem, [&](auto value_tag, auto weight_tag) {
    using T = typename decltype(value_tag)::type;
    using Weight = typename decltype(weight_tag)::type;
    using Real = RealFor<T>;
    using Samples = GivenSamples<Real, Weight>;
    const Samples samples{static_cast<const Real*>(tensors.locations),
                          static_cast<const Weight*>(tensors.weights)};
    const typename Samples::Gradients gradients{static_cast<Real*>(tensors.grad_locations),
                                                static_cast<Weight*>(tensors.grad_weights)};
    const BackwardBuffers buffers{tensors.grad_output, tensors.value, tensors.grad_value,
                                  tensors.workspace};
    return run_backward<T>(problem, shape, buffers, samples, gradients, deterministic, stream);
  });
}

}  // namespace hdetr::cuda
