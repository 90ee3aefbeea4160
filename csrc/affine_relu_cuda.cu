// affine_relu on CUDA: a thread processes 16 bytes of the map at a time, in a grid-stride loop.
#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "affine_relu_cuda.h"
#include "cuda_launch.cuh"

namespace hdetr::cuda {
namespace {

constexpr int kBytes = 16;  // per load

// Calls use(first, channel of the first) for each group of kSize numbers. A group lies within one
// plane or one cell. Index has 32 bits if they suffice, because 64-bit divisions are slow.
template <int kSize, class Index, class Use>
__device__ __forceinline__ void for_each_group(const AffineForm& form, const Use& use) {
  const Index together = Index(form.together), channels = Index(form.channels);
  const int64_t threads = int64_t(gridDim.x) * blockDim.x;
  for (int64_t group = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; group * kSize < form.size;
       group += threads) {
    const int64_t first = group * kSize;
    use(first, int64_t(Index(first) / together % channels));
  }
}

// The constant for number `i` of a group whose first channel is `channel`; in a plane it is the
// same for all.
__device__ __forceinline__ float constant(const float* values, const AffineForm& form,
                                          int64_t channel, int i) {
  return __ldg(values + (form.together == 1 ? channel + i : channel));
}

template <class T, int kSize, class Index>
__global__ void __launch_bounds__(kMostThreads)
    apply(const __grid_constant__ AffineForm form, const T* __restrict__ x,
          const T* __restrict__ residual, T* __restrict__ y) {
  for_each_group<kSize, Index>(form, [&](int64_t first, int64_t channel) {
    float numbers[kSize], more[kSize] = {};
    load_to<T, kSize>(numbers, x + first);
    if (residual) load_to<T, kSize>(more, residual + first);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      const float scale = constant(form.scale, form, channel, i);
      const float shift = constant(form.shift, form, channel, i);
      numbers[i] = cut_off(numbers[i] * scale + shift + more[i], form.ceiling);
    }
    store<T, kSize>(y + first, numbers);
  });
}

template <class T, int kSize, class Index>
__global__ void __launch_bounds__(kMostThreads)
    differentiate(const __grid_constant__ AffineForm form, const T* __restrict__ gradient,
                  const T* __restrict__ y, T* __restrict__ by_x, T* __restrict__ by_residual) {
  for_each_group<kSize, Index>(form, [&](int64_t first, int64_t channel) {
    float numbers[kSize], results[kSize];
    load_to<T, kSize>(numbers, gradient + first);
    load_to<T, kSize>(results, y + first);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      numbers[i] = let_through(numbers[i], results[i], form.ceiling);
      results[i] = numbers[i] * constant(form.scale, form, channel, i);
    }
    store<T, kSize>(by_x + first, results);
    if (by_residual) store<T, kSize>(by_residual + first, numbers);
  });
}

template <int kSize>
dim3 grid_of(const AffineForm& form, const Cut& cut) {
  const int64_t blocks = divide_up(divide_up(form.size, kSize), cut.threads);
  return dim3(unsigned(std::min({blocks, int64_t(INT32_MAX), int64_t(cut.blocks)})));
}

template <int kNumber>
struct Size {
  static constexpr int value = kNumber;
};

bool are_aligned(std::initializer_list<const void*> arrays) {
  return std::all_of(arrays.begin(), arrays.end(), [](const void* array) {
    return reinterpret_cast<std::uintptr_t>(array) % kBytes == 0;
  });
}

// Calls call(group size, index type) for numbers of type T.
template <class T, class Call>
cudaError_t with_groups(const AffineForm& form, std::initializer_list<const void*> arrays,
                        const Call& call) {
  constexpr int kSize = kBytes / int(sizeof(T));
  const int64_t row = form.together == 1 ? form.channels : form.together;
  const bool whole = row % kSize == 0 && are_aligned(arrays);
  const bool small = form.size <= UINT32_MAX;
  if (whole) return small ? call(Size<kSize>{}, uint32_t{}) : call(Size<kSize>{}, int64_t{});
  return small ? call(Size<1>{}, uint32_t{}) : call(Size<1>{}, int64_t{});
}

}  // namespace

cudaError_t launch_affine_relu(const AffineForm& form, const AffineInputs& inputs, const Array& y,
                               const Cut& cut, cudaStream_t stream) {
  if (form.size == 0) return cudaSuccess;
  return with_single_type(y.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto arrays = {inputs.x.data, inputs.residual.data, static_cast<const void*>(y.data)};
    return with_groups<T>(form, arrays, [&](auto size, auto index) {
      constexpr int kSize = decltype(size)::value;
      return launch(apply<T, kSize, decltype(index)>, grid_of<kSize>(form, cut), cut.threads,
                    stream, form, static_cast<const T*>(inputs.x.data),
                    static_cast<const T*>(inputs.residual.data), static_cast<T*>(y.data));
    });
  });
}

cudaError_t launch_affine_relu_backward(const AffineForm& form, const AffineGradients& gradients,
                                        const Cut& cut, cudaStream_t stream) {
  if (form.size == 0) return cudaSuccess;
  return with_single_type(gradients.y.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto arrays = {gradients.given.data, gradients.y.data,
                         static_cast<const void*>(gradients.of_x.data),
                         static_cast<const void*>(gradients.of_residual.data)};
    return with_groups<T>(form, arrays, [&](auto size, auto index) {
      constexpr int kSize = decltype(size)::value;
      return launch(differentiate<T, kSize, decltype(index)>, grid_of<kSize>(form, cut),
                    cut.threads, stream, form, static_cast<const T*>(gradients.given.data),
                    static_cast<const T*>(gradients.y.data), static_cast<T*>(gradients.of_x.data),
                    static_cast<T*>(gradients.of_residual.data));
    });
  });
}

}  // namespace hdetr::cuda
