// Multi-scale deformable attention on CUDA: the forward.
#include "ms_deform_attn_cuda_launch.cuh"
#include "ms_deform_attn_forward_cuda.cuh"

namespace hdetr::cuda {

LaunchShape launch_shape(const Problem& problem, int max_threads) {
  // Large blocks of neighbouring queries share the L1 cache; if there are few queries, small blocks
  // use all multiprocessors.
  const bool tiled = problem.sizes.queries == problem.sizes.cells;
  return {tiled ? max_threads : 64, tiled, INT32_MAX};
}

cudaError_t launch_ms_deform_attn(const Problem& problem, const LaunchShape& shape,
                                  const void* value, const void* locations, const void* weights,
                                  void* output, cudaStream_t stream) {
  if (has_no_pairs(problem.sizes)) return cudaSuccess;
  return with_types(problem, [&](auto value_tag, auto weight_tag) {
    using T = typename decltype(value_tag)::type;
    using Weight = typename decltype(weight_tag)::type;
    const GivenSamples<RealFor<T>, Weight> samples{static_cast<const RealFor<T>*>(locations),
                                                   static_cast<const Weight*>(weights)};
    return launch_forward<T>(problem, shape, value, samples, output, stream);
  });
}

}  // namespace hdetr::cuda
