// Fused multi-scale deformable attention on CUDA: the forward.
#include "ms_deform_attn_forward_cuda.cuh"
#include "ms_deform_attn_fused_cuda_launch.cuh"

namespace hdetr::cuda {

cudaError_t launch_ms_deform_attn_fused(const Problem& problem, const LaunchShape& shape,
                                        const void* value, const RowTensors& rows, void* output,
                                        cudaStream_t stream) {
  if (has_no_pairs(problem.sizes)) return cudaSuccess;
  return with_types(problem, [&](auto value_tag, auto row_tag) {
    using T = typename decltype(value_tag)::type;
    using Samples = RowSamples<RealFor<T>, typename decltype(row_tag)::type>;
    const auto samples = samples_of<Samples>(problem, rows);
    return launch_forward<T>(problem, shape, value, samples, output, stream);
  });
}

}  // namespace hdetr::cuda
