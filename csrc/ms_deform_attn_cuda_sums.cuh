// Where the gradient of a value is summed up. Its cells are added to by many lanes at once and in
// no order, so the kind of sum decides whether a second run gives the same bits:
// - FloatSums adds floats (or doubles), at the speed of the memory;
// - FixedSums adds 64-bit integers, for which the order is no matter.
// Atomic additions are paid by the sectors of 32 bytes that they touch, so a lane takes as many
// channels (kVector) as one addition does: those of neighbouring lanes then leave no gaps.
#pragma once

#include "ms_deform_attn_cuda.cuh"

namespace hdetr::cuda {

// Whether one addition takes four floats, which are then aligned to 16 bytes.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
constexpr bool kAddsFourFloats = true;
__device__ __forceinline__ void add_four(float* to, const float* items) {
  const float4 vector = make_float4(items[0], items[1], items[2], items[3]);
  atomicAdd(reinterpret_cast<float4*>(to), vector);
}
#else
constexpr bool kAddsFourFloats = false;
__device__ __forceinline__ void add_four(float* to, const float* items) {
#pragma unroll
  for (int i = 0; i < 4; ++i) atomicAdd(to + i, items[i]);
}
#endif

template <class Real_>
struct FloatSums {
  using Real = Real_;
  using Item = Real;
  static constexpr int kVector = 16 / sizeof(Item);  // of floats, from capability 9.0 on
  static constexpr bool kAddsVectors = kAddsFourFloats && std::is_same_v<Real, float>;

  Item* items;  // [B, S, M, D], initially zero

  __device__ __forceinline__ void open() {}
  __device__ __forceinline__ void note(const Located<Real>&) const {}

  // A term as an item of a sum.
  __device__ __forceinline__ Item item_of(Real term) const { return term; }

  template <int kSize>
  __device__ __forceinline__ void add(Item* to, const Item (&items)[kSize]) const {
    if constexpr (std::is_same_v<Real, float> && kSize == 4) {
      add_four(to, items);
    } else {
#pragma unroll
      for (int i = 0; i < kSize; ++i) atomicAdd(to + i, items[i]);
    }
  }
  __device__ __forceinline__ Real read(int64_t index) const { return items[index]; }
};

// ---- fixed point

// A number's bits without the sign: ordered like the magnitudes, NaN above infinity.
template <class Real>
struct Bits;
template <>
struct Bits<float> {
  using type = unsigned int;
  static constexpr int kExponentAt = 23, kBias = 127;
  static __device__ __forceinline__ type of(float x) { return __float_as_uint(x) & 0x7fffffffu; }
};
template <>
struct Bits<double> {
  using type = unsigned long long;
  static constexpr int kExponentAt = 52, kBias = 1023;
  static __device__ __forceinline__ type of(double x) {
    return static_cast<type>(__double_as_longlong(x)) & 0x7fffffffffffffffull;
  }
};

// Found on the device, for the device. Initially zero.
template <class Real>
struct Extremes {
  typename Bits<Real>::type gradient, weight;  // the maxima of grad_output and of the weights
  int32_t lost;  // a sample's location was not finite, or its weight NaN
};

// A sum counts in units of 2^-exponent, the smallest with which no sum can overflow: its terms are
// gradient x weight x share, a share is at most 1, and at most Q * P samples can fall into a cell.
template <class Real_>
struct FixedSums {
  using Real = Real_;
  using Item = unsigned long long;
  static constexpr int kVector = 1;  // there is no addition of several integers
  static constexpr bool kAddsVectors = false;

  Item* items;  // [B, S, M, D], initially zero
  Extremes<Real>* extremes;
  int32_t log2_terms;  // rounded up
  bool of_softmax;     // the weights are at most 1, or NaN, so their maximum is not needed
  Real scale = 0;      // units per 1

  // Before the first use in a kernel.
  __device__ __forceinline__ void open() { scale = ldexp(Real(1), exponent()); }

  // A plain store: all writers store the same value.
  __device__ __forceinline__ void note(const Located<Real>& located) const {
    const bool lost = located.sample.row.lost | located.sample.column.lost;
    if (lost || located.weight != located.weight) extremes->lost = 1;
  }

  __device__ __forceinline__ Item item_of(Real term) const {
    return static_cast<Item>(llrint(term * scale));
  }

  __device__ __forceinline__ void add(Item* to, const Item (&items)[kVector]) const {
    atomicAdd(to, items[0]);
  }

  // NaN everywhere if anything was not finite, as a loss scaler expects, or if a term may exceed
  // the range of Real.
  __device__ __forceinline__ Real read(int64_t index) const {
    if (extremes->lost || !in_range()) return Real(NAN);
    return Real(static_cast<long long>(items[index])) / scale;
  }

 private:
  static constexpr int kLog2Largest = Bits<Real>::kBias + 1;

  // |x| < 2^result; for non-finite x, more than kLog2Largest.
  static __device__ __forceinline__ int32_t log2_of(typename Bits<Real>::type bits) {
    return int32_t(bits >> Bits<Real>::kExponentAt) - Bits<Real>::kBias + 1;
  }
  __device__ __forceinline__ int32_t log2_of_weight() const {
    return of_softmax ? 1 : log2_of(extremes->weight);
  }
  __device__ __forceinline__ int32_t log2_of_term() const {
    return log2_of(extremes->gradient) + log2_of_weight();
  }
  __device__ __forceinline__ bool in_range() const {
    return max(log2_of(extremes->gradient), log2_of_weight()) <= kLog2Largest &&
           log2_of_term() < kLog2Largest;
  }
  // Limited so that the scale is a normal number.
  __device__ __forceinline__ int32_t exponent() const {
    return min(62 - log2_terms - log2_of_term(), kLog2Largest - 2);
  }
};

// The largest magnitude of `count` numbers, as bits.
template <class T>
__global__ void __launch_bounds__(kMaxBackwardThreads)
    find_largest(const T* __restrict__ numbers, int64_t count,
                 typename Bits<RealFor<T>>::type* __restrict__ result) {
  typename Bits<RealFor<T>>::type bits = 0;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * blockDim.x) {
    bits = max(bits, Bits<RealFor<T>>::of(to_real(numbers[i])));
  }
  for (int step = kWarp / 2; step > 0; step /= 2) {
    bits = max(bits, __shfl_xor_sync(kAllLanes, bits, step));
  }
  if (threadIdx.x % kWarp == 0) atomicMax(result, bits);
}

// ---- from either kind to the type of the gradient

template <class T, class Sums>
__global__ void __launch_bounds__(kMaxBackwardThreads)
    read_sums(Sums sums, int64_t count, T* __restrict__ result) {
  sums.open();
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * blockDim.x) {
    assign(result[i], sums.read(i));
  }
}

}  // namespace hdetr::cuda
