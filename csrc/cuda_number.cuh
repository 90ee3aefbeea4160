// Elements of tensors on CUDA, and the numbers used in computations.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "number.h"

namespace hdetr::cuda {

// The type of coordinates and sums for values of type T.
template <class T>
using RealFor = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Explicit functions, because conversion operators of 16-bit types can be disabled by macros.
__device__ __forceinline__ float to_real(float x) { return x; }
__device__ __forceinline__ double to_real(double x) { return x; }
__device__ __forceinline__ float to_real(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_real(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ __forceinline__ void assign(float& to, float x) { to = x; }
__device__ __forceinline__ void assign(double& to, double x) { to = x; }
__device__ __forceinline__ void assign(__half& to, float x) { to = __float2half_rn(x); }
__device__ __forceinline__ void assign(__nv_bfloat16& to, float x) { to = __float2bfloat16_rn(x); }

template <class T, int kSize>
struct alignas(sizeof(T) * kSize) Vector {
  T items[kSize];
};

template <int kSize, class T>
__device__ __forceinline__ Vector<T, kSize> load(const T* from) {
  return *reinterpret_cast<const Vector<T, kSize>*>(from);
}

template <class T, int kSize>
__device__ __forceinline__ void load_to(RealFor<T> (&to)[kSize], const T* from) {
  const Vector<T, kSize> vector = load<kSize>(from);
#pragma unroll
  for (int i = 0; i < kSize; ++i) to[i] = to_real(vector.items[i]);
}

template <class T, int kSize>
__device__ __forceinline__ void store(T* to, const RealFor<T> (&from)[kSize]) {
  Vector<T, kSize> vector;
#pragma unroll
  for (int i = 0; i < kSize; ++i) assign(vector.items[i], from[i]);
  *reinterpret_cast<Vector<T, kSize>*>(to) = vector;
}

}  // namespace hdetr::cuda
