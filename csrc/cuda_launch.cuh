// On the host: types as template arguments, and launches on a stream.
#pragma once

#include "cuda_number.cuh"

namespace hdetr::cuda {

template <class T>
struct Tag {
  using type = T;
};

// Types that are computed in float32.
template <class Call>
cudaError_t with_single_type(Type type, const Call& call) {
  switch (type) {
    case Type::kFloat:
      return call(Tag<float>{});
    case Type::kHalf:
      return call(Tag<__half>{});
    case Type::kBFloat16:
      return call(Tag<__nv_bfloat16>{});
    default:
      return cudaErrorInvalidValue;
  }
}

template <class Call>
cudaError_t with_type(Type type, const Call& call) {
  return type == Type::kDouble ? call(Tag<double>{}) : with_single_type(type, call);
}

// The only place where kernels are launched; a function call instead of <<<>>>, so that tests can
// run the same kernels on the CPU.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                   const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.stream = stream;
  (void)cudaLaunchKernelEx(&config, kernel, arguments...);
  return cudaGetLastError();  // also clears it: a later launch must not be blamed
}

inline cudaError_t zero(void* memory, int64_t bytes, cudaStream_t stream) {
  (void)cudaMemsetAsync(memory, 0, size_t(bytes), stream);
  return cudaGetLastError();
}

}  // namespace hdetr::cuda
