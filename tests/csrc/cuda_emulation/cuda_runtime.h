// The part of CUDA's language and runtime that our kernels use, on the CPU.
#pragma once

#include <math.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "emulation.h"

#define __global__
#define __host__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __grid_constant__
#define __shared__ static  // one block runs at a time
#define __launch_bounds__(...)

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               const Arguments&... arguments) {
  emulation::run(config->gridDim, config->blockDim, [&] { kernel(arguments...); });
  return cudaSuccess;  // as a rule a failure shows later: cudaGetLastError
}

// ---- numbers

template <class To, class From>
To emulated_bits(const From& from) {
  static_assert(sizeof(To) >= sizeof(From));
  To to{};
  std::memcpy(&to, &from, sizeof from);
  return to;
}

inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
inline float __uint_as_float(unsigned bits) { return emulated_bits<float>(bits); }
inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }

inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dmul_rn(double a, double b) { return a * b; }

template <class T>
T __ldg(const T* from) {
  return *from;
}

struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---- atomics: only one fiber runs at a time

template <class T>
T atomicAdd(T* to, T term) {
  // Our kernels add 32-bit integers in shared memory only.
  if (!std::is_same_v<T, unsigned>) emulation::added_bytes += sizeof(T);
  const T before = *to;
  *to = before + term;
  return before;
}
inline float4 atomicAdd(float4* to, float4 term) {
  if (reinterpret_cast<uintptr_t>(to) % alignof(float4)) __builtin_trap();
  emulation::added_bytes += sizeof(float4);
  const float4 before = *to;
  *to = {to->x + term.x, to->y + term.y, to->z + term.z, to->w + term.w};
  return before;
}
inline unsigned atomicCAS(unsigned* to, unsigned expected, unsigned wanted) {
  const unsigned before = *to;
  if (before == expected) *to = wanted;
  return before;
}
inline unsigned atomicOr(unsigned* to, unsigned bits) {
  const unsigned before = *to;
  *to |= bits;
  return before;
}
inline void atomicAnd(unsigned* to, unsigned bits) { *to &= bits; }
template <class T>
void atomicMax(T* to, T number) {
  *to = max(*to, number);
}

// ---- barriers and shuffles

inline void __syncthreads() { emulation::wait_for_block(); }
inline void __syncwarp() { emulation::exchange(emulation::kBarrier, 0, 0, 32); }

template <class T>
T __shfl_sync(unsigned mask, T given, int source, int width = 32) {
  if (mask != 0xffffffffu) __builtin_trap();
  const uint64_t taken = emulation::exchange(width, emulated_bits<uint64_t>(given), source, width);
  T result;
  std::memcpy(&result, &taken, sizeof result);
  return result;
}

template <class T>
T __shfl_up_sync(unsigned mask, T given, int distance) {
  if (mask != 0xffffffffu) __builtin_trap();
  const int lane = int(threadIdx.x % 32), source = lane < distance ? lane : lane - distance;
  const uint64_t taken =
      emulation::exchange(100 + distance, emulated_bits<uint64_t>(given), source, 32);
  T result;
  std::memcpy(&result, &taken, sizeof result);
  return result;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T given, int flipped) {
  if (mask != 0xffffffffu) __builtin_trap();
  const int source = int(threadIdx.x % 32) ^ flipped;
  const uint64_t taken = emulation::exchange(-flipped, emulated_bits<uint64_t>(given), source, 32);
  T result;
  std::memcpy(&result, &taken, sizeof result);
  return result;
}
