// Box refinement on CUDA: one coordinate per thread, in a grid-stride loop.
#include <algorithm>

#include "cuda_launch.cuh"
#include "move_boxes_cuda.h"

namespace hdetr::cuda {
namespace {

__host__ __device__ __forceinline__ int64_t count_elements(const MoveSizes& sizes) {
  return sizes.rows * kBoxNumbers;
}

template <class Use>
__device__ __forceinline__ void for_each_element(const MoveSizes& sizes, const Use& use) {
  const int64_t threads = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count_elements(sizes);
       i += threads) {
    use(i);
  }
}

__global__ void __launch_bounds__(kMostThreads)
    move(const __grid_constant__ MoveArguments given, const float* __restrict__ delta,
         float* __restrict__ boxes) {
  for_each_element(given.sizes, [&](int64_t i) {
    boxes[i] = moved(delta[i], reference_at(given, i), given.eps);
  });
}

__global__ void __launch_bounds__(kMostThreads)
    differentiate(const __grid_constant__ MoveArguments given, const float* __restrict__ grad_boxes,
                  const float* __restrict__ boxes, float* __restrict__ grad_delta,
                  float* __restrict__ grad_reference) {
  for_each_element(given.sizes, [&](int64_t i) {
    const float slope = slope_of_delta(grad_boxes[i], boxes[i]);
    grad_delta[i] = slope;
    const int64_t place = grad_reference ? reference_of(given.sizes, i) : -1;
    if (place < 0) return;
    grad_reference[place] = slope_of_reference(slope, given.reference[place], given.eps);
  });
}

dim3 grid_of(const MoveSizes& sizes, const Cut& cut) {
  const int64_t blocks = divide_up(count_elements(sizes), cut.threads);
  return dim3(unsigned(std::min({blocks, int64_t(INT32_MAX), int64_t(cut.blocks)})));
}

}  // namespace

cudaError_t launch_move_boxes(const MoveArguments& given, const float* delta, float* boxes,
                              const Cut& cut, cudaStream_t stream) {
  if (given.sizes.rows == 0) return cudaSuccess;
  return launch(move, grid_of(given.sizes, cut), cut.threads, stream, given, delta, boxes);
}

cudaError_t launch_move_boxes_backward(const MoveArguments& given, const float* grad_boxes,
                                       const float* boxes, float* grad_delta, float* grad_reference,
                                       const Cut& cut, cudaStream_t stream) {
  if (given.sizes.rows == 0) return cudaSuccess;
  return launch(differentiate, grid_of(given.sizes, cut), cut.threads, stream, given, grad_boxes,
                boxes, grad_delta, grad_reference);
}

}  // namespace hdetr::cuda
