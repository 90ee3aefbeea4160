// How a kernel is launched.
#pragma once

#include <cuda_runtime.h>

namespace hdetr::cuda {

// The only place where kernels are launched; it is a function call and not <<<>>>, so that tests
// can run the same kernels on the CPU.
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

}  // namespace hdetr::cuda
