// Numbers that kernels compute with, on the CPU and on CUDA.
//
// A Number is a float or a double or, on the CPU, a pack of them (pack.h), whose lanes are computed
// in parallel. A condition on a number becomes a mask of a pack, so that code for any Number has no
// branches, and uses `&` and `|` instead of `&&` and `||`.
#pragma once

#include <cstdint>
#include <cstring>

// HDETR_INLINE: on the host and in kernels. HDETR_KERNEL_INLINE: only in kernels.
#if defined(__CUDACC__)
#define HDETR_INLINE __host__ __device__ __forceinline__
#define HDETR_KERNEL_INLINE __device__ __forceinline__
#define HDETR_INLINE_LAMBDA
#else
// Kernels are compiled for several instruction sets, which only applies to inlined functions.
#define HDETR_INLINE inline __attribute__((always_inline))
#define HDETR_KERNEL_INLINE HDETR_INLINE
#define HDETR_INLINE_LAMBDA __attribute__((always_inline))
#endif

namespace hdetr {

// The scalar type of a Number. Specialised for packs.
template <class Number>
struct NumberTraits {
  using Real = Number;
  using Integer = int32_t;
  HDETR_INLINE static Integer truncate(Number x) { return static_cast<Integer>(x); }
  HDETR_INLINE static Number real(Integer i) { return static_cast<Number>(i); }
};
template <class Number>
using RealOf = typename NumberTraits<Number>::Real;
template <class Number>
using IntegerOf = typename NumberTraits<Number>::Integer;

HDETR_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Element types of tensors.
enum class Type { kFloat, kDouble, kHalf, kBFloat16 };

HDETR_INLINE int64_t element_size(Type type) {
  return type == Type::kDouble ? 8 : type == Type::kFloat ? 4 : 2;
}

struct Array {
  void* data;
  Type type;
};
struct ConstArray {
  const void* data;
  Type type;
};

// Reinterprets the bits as another type.
template <class To, class From>
HDETR_INLINE To bits_as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class Number>
HDETR_INLINE Number absolute(Number x) {
  return bits_as<Number>(bits_as<IntegerOf<Number>>(x) & 0x7fffffff);
}

// A number that is not written while a kernel runs, so that it may be read ahead of earlier writes.
template <class Real>
HDETR_INLINE Real read_only(const Real* from) {
#if defined(__CUDA_ARCH__)
  return __ldg(from);
#else
  return *from;
#endif
}

// For float32, a bool or a mask.
template <class Number>
HDETR_INLINE auto is_finite(Number x) {
  return (bits_as<IntegerOf<Number>>(x) & 0x7fffffff) < 0x7f800000;
}

}  // namespace hdetr
