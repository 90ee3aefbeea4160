// The sigmoid focal loss on CUDA. A warp sums a piece of a layer's logits; in a second launch a
// block adds the sums of a layer's pieces. No order depends on how the launches are divided.
#include <algorithm>

#include "cuda_launch.cuh"
#include "cuda_warp.cuh"
#include "sigmoid_focal_loss_cuda.h"

namespace hdetr::cuda {
namespace {

constexpr int64_t kPiece = 1024;  // logits per partial sum

__host__ __device__ __forceinline__ int64_t logits_of_layer(const FocalSizes& sizes) {
  return sizes.rows * sizes.classes;
}
__host__ __device__ __forceinline__ int64_t pieces_of_layer(const FocalSizes& sizes) {
  return divide_up(logits_of_layer(sizes), kPiece);
}

// A logit's position within its query, from its position in a piece.
struct Piece {
  int64_t first_row;
  uint32_t first_class, classes;

  __device__ __forceinline__ Piece(int64_t first, int64_t all_classes)
      : first_row(first / all_classes),
        first_class(uint32_t(first - first_row * all_classes)),
        classes(uint32_t(all_classes)) {}

  // Calls use(class, its label) for number `i`.
  template <class Use>
  __device__ __forceinline__ float with(uint32_t i, const int64_t* labels, const Use& use) const {
    const uint32_t place = first_class + i, row = place / classes;
    return use(int64_t(place - row * classes), labels[first_row + row]);
  }
};

__device__ __forceinline__ float loss_of(float logit, int64_t k, int64_t label,
                                         const FocalArguments& given) {
  if (label == kNoLoss) return 0;
  if (is_unknown(label, given.sizes.classes)) return NAN;
  const auto p = Probability<float>::of(logit);
  return k == label ? positive_loss(p, given.form) : negative_loss(p, given.form);
}

__device__ __forceinline__ float slope_of(float logit, int64_t k, int64_t label,
                                          const FocalArguments& given) {
  if (is_unknown(label, given.sizes.classes)) return NAN;
  const auto p = Probability<float>::of(logit);
  return k == label ? positive_slope(p, given.form) : negative_slope(p, given.form);
}

// Blocks in x are pieces, one per warp, in y layers.
template <class T>
__global__ void __launch_bounds__(kMostThreads)
    sum_pieces(const __grid_constant__ FocalArguments given, float* __restrict__ sums) {
  const int64_t numbers = logits_of_layer(given.sizes), pieces = pieces_of_layer(given.sizes);
  const int warps = blockDim.x / kWarp, lane = threadIdx.x % kWarp;
  for (int64_t layer = blockIdx.y; layer < given.sizes.layers; layer += gridDim.y) {
    const T* const logits = static_cast<const T*>(given.logits.data) + layer * numbers;
    const int64_t* const labels = given.labels + layer * given.sizes.rows;
    for (int64_t index = int64_t(blockIdx.x) * warps + threadIdx.x / kWarp; index < pieces;
         index += int64_t(gridDim.x) * warps) {
      const int64_t first = index * kPiece;
      const auto count = uint32_t(min(kPiece, numbers - first));
      const Piece piece(first, given.sizes.classes);
      float sum = 0;
      for (uint32_t i = lane; i < count; i += kWarp) {
        sum += piece.with(i, labels, [&](int64_t k, int64_t label) {
          return loss_of(to_real(logits[first + i]), k, label, given);
        });
      }
      sum = sum_of_warp(sum);
      if (lane == 0) sums[layer * pieces + index] = sum;
    }
  }
}

// One block per layer. Its size is fixed, since the order of the sums depends on it.
__global__ void __launch_bounds__(kMostThreads)
    add_pieces(FocalSizes sizes, const float* __restrict__ sums, float* __restrict__ loss) {
  __shared__ double of_warps[kMostThreads / kWarp];
  const int64_t pieces = pieces_of_layer(sizes);
  for (int64_t layer = blockIdx.x; layer < sizes.layers; layer += gridDim.x) {
    double of_thread = 0;
    for (int64_t i = threadIdx.x; i < pieces; i += kMostThreads) {
      of_thread += sums[layer * pieces + i];
    }
    const double of_warp = sum_of_warp(of_thread);
    if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = of_warp;
    __syncthreads();
    if (threadIdx.x == 0) {
      double total = 0;
      for (const double sum : of_warps) total += sum;
      loss[layer] = float(total);
    }
    __syncthreads();  // before the sums of the next layer
  }
}

// Blocks in x are pieces, in y layers.
template <class T>
__global__ void __launch_bounds__(kMostThreads)
    differentiate(const __grid_constant__ FocalArguments given, const float* __restrict__ grad_loss,
                  T* __restrict__ grad_logits) {
  const int64_t numbers = logits_of_layer(given.sizes);
  for (int64_t layer = blockIdx.y; layer < given.sizes.layers; layer += gridDim.y) {
    const T* const logits = static_cast<const T*>(given.logits.data) + layer * numbers;
    const int64_t* const labels = given.labels + layer * given.sizes.rows;
    const float factor = grad_loss[layer];
    for (int64_t first = blockIdx.x * kPiece; first < numbers; first += gridDim.x * kPiece) {
      const auto count = uint32_t(min(kPiece, numbers - first));
      const Piece piece(first, given.sizes.classes);
      for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
        const float gradient = piece.with(i, labels, [&](int64_t k, int64_t label) {
          if (label == kNoLoss) return 0.0f;
          return factor * slope_of(to_real(logits[first + i]), k, label, given);
        });
        assign(grad_logits[layer * numbers + first + i], gradient);
      }
    }
  }
}

dim3 grid_of(const FocalSizes& sizes, int64_t pieces_at_once, const Cut& cut) {
  const int64_t blocks = divide_up(pieces_of_layer(sizes), pieces_at_once);
  const auto limited = [&](int64_t wanted, int64_t limit) {
    return unsigned(std::min({wanted, limit, int64_t(cut.blocks)}));
  };
  return dim3(limited(blocks, INT32_MAX), limited(sizes.layers, UINT16_MAX));
}

}  // namespace

int64_t count_partial_sums(const FocalSizes& sizes) {
  return sizes.layers * pieces_of_layer(sizes);
}

cudaError_t launch_sigmoid_focal_loss(const FocalArguments& given, float* partial_sums, float* loss,
                                      const Cut& cut, cudaStream_t stream) {
  const FocalSizes& sizes = given.sizes;
  if (sizes.layers == 0) return cudaSuccess;
  if (count_partial_sums(sizes) > 0) {
    const cudaError_t error = with_single_type(given.logits.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      return launch(sum_pieces<T>, grid_of(sizes, cut.threads / kWarp, cut), cut.threads, stream,
                    given, partial_sums);
    });
    if (error != cudaSuccess) return error;
  }
  const auto blocks = unsigned(std::min({sizes.layers, int64_t(INT32_MAX), int64_t(cut.blocks)}));
  return launch(add_pieces, dim3(blocks), kMostThreads, stream, sizes, partial_sums, loss);
}

cudaError_t launch_sigmoid_focal_loss_backward(const FocalArguments& given, const float* grad_loss,
                                               void* grad_logits, const Cut& cut,
                                               cudaStream_t stream) {
  if (count_partial_sums(given.sizes) == 0) return cudaSuccess;
  return with_single_type(given.logits.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return launch(differentiate<T>, grid_of(given.sizes, 1, cut), cut.threads, stream, given,
                  grad_loss, static_cast<T*>(grad_logits));
  });
}

}  // namespace hdetr::cuda
