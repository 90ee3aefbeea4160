// Packs of numbers: the compiler's vector extensions, and a few missing operations.
//
// A pack has the operators of a number (a comparison returns a mask, `mask ? a : b` selects), and
// is compiled for the instruction set of the function into which it is inlined.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "number.h"

namespace hdetr {

template <class Lane, int kLanes>
struct PackOf {
  typedef Lane type __attribute__((vector_size(kLanes * sizeof(Lane))));
};
template <class Lane, int kLanes>
using Pack = typename PackOf<Lane, kLanes>::type;

template <class Packed>
HDETR_INLINE Packed load(const void* from) {
  Packed pack;
  std::memcpy(&pack, from, sizeof pack);
  return pack;
}

template <class Packed>
HDETR_INLINE void store(void* to, const Packed& pack) {
  std::memcpy(to, &pack, sizeof pack);
}

// Lane i of the result is lane `Order::at(i)` of `a` and `b` concatenated.
template <class Result, class Order, class Packed, int... kLane>
HDETR_INLINE Result shuffle(const Packed& a, const Packed& b,
                            std::integer_sequence<int, kLane...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, Order::at(kLane)...);
#else
  constexpr int kSize = sizeof(Packed) / sizeof(a[0]);
  return Result{
      (Order::at(kLane) < kSize ? a[Order::at(kLane) % kSize] : b[Order::at(kLane) % kSize])...};
#endif
}

// Orders of lanes. Those within groups of four are single instructions everywhere.
template <int kLanes>
struct Interleaved {  // per group: a0 b0 a1 b1 with kFirst = 0, a2 b2 a3 b3 with kFirst = 2
  template <int kFirst>
  struct From {
    static constexpr int at(int i) { return (i & ~3) + kFirst + (i & 3) / 2 + (i & 1) * kLanes; }
  };
};
template <int kLanes>
struct Paired {  // per group: a0 a1 b0 b1 with kFirst = 0, a2 a3 b2 b3 with kFirst = 2
  template <int kFirst>
  struct From {
    static constexpr int at(int i) { return (i & ~3) + kFirst + (i & 1) + (i & 3) / 2 * kLanes; }
  };
};
template <int kFirst, int kStep>
struct Strided {
  static constexpr int at(int i) { return kFirst + kStep * i; }
};

template <class Real, int kLanes>
HDETR_INLINE Pack<Real, 4> fold_to_four(const Pack<Real, kLanes>& pack) {
  if constexpr (kLanes == 4) {
    return pack;
  } else {
    constexpr int kHalf = kLanes / 2;
    using Half = Pack<Real, kHalf>;
    constexpr std::make_integer_sequence<int, kHalf> lanes;
    return fold_to_four<Real, kHalf>(shuffle<Half, Strided<0, 1>>(pack, pack, lanes) +
                                     shuffle<Half, Strided<kHalf, 1>>(pack, pack, lanes));
  }
}

// The sum of all lanes.
template <int kLanes>
HDETR_INLINE float sum_of_lanes(const Pack<float, kLanes>& pack) {
  const Pack<float, 4> four = fold_to_four<float, kLanes>(pack);
  return four[0] + four[1] + (four[2] + four[3]);
}

// The sums of four packs: transposed while they are added, which shares the shuffles.
template <class Real, int kLanes>
HDETR_INLINE Pack<Real, 4> sums_of_four(const Pack<Real, kLanes> (&packs)[4]) {
  using Packed = Pack<Real, kLanes>;
  using Unpack = Interleaved<kLanes>;
  using Pair = Paired<kLanes>;
  constexpr std::make_integer_sequence<int, kLanes> lanes;
  const Packed first =
      shuffle<Packed, typename Unpack::template From<0>>(packs[0], packs[1], lanes) +
      shuffle<Packed, typename Unpack::template From<2>>(packs[0], packs[1], lanes);
  const Packed last =
      shuffle<Packed, typename Unpack::template From<0>>(packs[2], packs[3], lanes) +
      shuffle<Packed, typename Unpack::template From<2>>(packs[2], packs[3], lanes);
  return fold_to_four<Real, kLanes>(
      shuffle<Packed, typename Pair::template From<0>>(first, last, lanes) +
      shuffle<Packed, typename Pair::template From<2>>(first, last, lanes));
}

// A pack as a Number.
template <class Lane, int kLanes>
struct PackTraits {
  using Real = Lane;
  using Number = Pack<Real, kLanes>;
  // As wide as the number: the mask of a comparison also selects among integers.
  using Integer = Pack<std::conditional_t<sizeof(Real) == 4, int32_t, int64_t>, kLanes>;
  HDETR_INLINE static Integer truncate(Number x) { return __builtin_convertvector(x, Integer); }
  HDETR_INLINE static Number real(Integer i) { return __builtin_convertvector(i, Number); }
};
template <>
struct NumberTraits<Pack<float, 4>> : PackTraits<float, 4> {};
template <>
struct NumberTraits<Pack<float, 8>> : PackTraits<float, 8> {};
template <>
struct NumberTraits<Pack<float, 16>> : PackTraits<float, 16> {};
template <>
struct NumberTraits<Pack<double, 4>> : PackTraits<double, 4> {};

}  // namespace hdetr
