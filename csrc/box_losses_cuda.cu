// Box losses on CUDA: one row per thread, in a grid-stride loop.
#include <algorithm>

#include "box_losses_cuda.h"
#include "cuda_launch.cuh"

namespace hdetr::cuda {
namespace {

__host__ __device__ __forceinline__ int64_t count_rows(const BoxLossSizes& sizes) {
  return sizes.problems * sizes.rows;
}

template <class Use>
__device__ __forceinline__ void for_each_row(const BoxLossSizes& sizes, const Use& use) {
  const int64_t threads = int64_t(gridDim.x) * blockDim.x;
  for (int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; row < count_rows(sizes);
       row += threads) {
    use(row);
  }
}

__global__ void __launch_bounds__(kMostThreads)
    find_losses(const __grid_constant__ BoxLossArguments given, BoxLoss* __restrict__ losses) {
  for_each_row(given.sizes, [&](int64_t row) { losses[row] = loss_at(given, row); });
}

__global__ void __launch_bounds__(kMostThreads)
    find_slopes(const __grid_constant__ BoxLossArguments given,
                const BoxLoss* __restrict__ grad_losses, BoxSlope* __restrict__ grad_boxes) {
  for_each_row(given.sizes,
               [&](int64_t row) { grad_boxes[row] = slope_at(given, grad_losses[row], row); });
}

dim3 grid_of(const BoxLossSizes& sizes, const Cut& cut) {
  const int64_t blocks = divide_up(count_rows(sizes), cut.threads);
  return dim3(unsigned(std::min({blocks, int64_t(INT32_MAX), int64_t(cut.blocks)})));
}

}  // namespace

cudaError_t launch_box_losses(const BoxLossArguments& given, BoxLoss* losses, const Cut& cut,
                              cudaStream_t stream) {
  if (count_rows(given.sizes) == 0) return cudaSuccess;
  return launch(find_losses, grid_of(given.sizes, cut), cut.threads, stream, given, losses);
}

cudaError_t launch_box_losses_backward(const BoxLossArguments& given, const BoxLoss* grad_losses,
                                       BoxSlope* grad_boxes, const Cut& cut, cudaStream_t stream) {
  if (count_rows(given.sizes) == 0) return cudaSuccess;
  return launch(find_slopes, grid_of(given.sizes, cut), cut.threads, stream, given, grad_losses,
                grad_boxes);
}

}  // namespace hdetr::cuda
