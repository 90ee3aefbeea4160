// Box refinement and its derivatives, for CPU and CUDA.
//
// A coordinate x moved by d becomes sigmoid(d + log(a / b)) with a = clamp(x, eps, 1) and b =
// clamp(1 - x, eps, 1). It is computed as a / (a + b exp(-d)), which is the same.
#pragma once

#include <cstdint>

#include "elementary.h"
#include "number.h"

namespace hdetr {

constexpr int64_t kBoxNumbers = 4;  // cxcywh

// Sizes: deltas and boxes [N, 4], references [N, 2 or 4].
struct MoveSizes {
  int64_t rows, numbers;  // N, and the numbers of a reference
};

// All arrays are contiguous.
struct MoveArguments {
  MoveSizes sizes;
  float eps;
  const float* reference;
};

// The reference of a coordinate without one: its logit is 0.
inline constexpr float kNoReference = 0.5f;

// The index of the reference of element `i` of [N, 4]; negative if it has none.
HDETR_INLINE int64_t reference_of(const MoveSizes& sizes, int64_t i) {
  const int64_t number = i % kBoxNumbers;
  return number < sizes.numbers ? i / kBoxNumbers * sizes.numbers + number : -1;
}

HDETR_INLINE float reference_at(const MoveArguments& given, int64_t i) {
  const int64_t place = reference_of(given.sizes, i);
  return place < 0 ? kNoReference : given.reference[place];
}

// NaN is kept.
template <class Number>
HDETR_INLINE Number clamp_odds(Number x, float eps) {
  const Number none{}, one = none + 1.0f, least = none + eps;
  const Number below = x > one ? one : x;
  return below < least ? least : below;
}

// The coordinate `x` moved by `delta`. Either the odds for or against it are decreased, so that
// nothing overflows.
template <class Number>
HDETR_INLINE Number moved(Number delta, Number x, float eps) {
  const Number none{};
  const Number a = clamp_odds(x, eps), b = clamp_odds(1.0f - x, eps);
  const Number smaller = exp_of_negative(-absolute(delta));
  const auto back = delta < none;
  const Number yes = back ? a * smaller : a, no = back ? b : b * smaller;
  return yes / (yes + no);
}

// slope / x where x is not clamped, including the bounds. One comparison covers both bounds,
// because GCC splits a combination of two masks with AVX-512.
template <class Number>
HDETR_INLINE Number slope_of_log(Number slope, Number x, float eps) {
  const Number none{}, below = x - eps, above = 1.0f - x;
  const Number within = below < above ? below : above;
  return within > none ? slope / x : none;
}

// Derivative with respect to the delta, from the resulting coordinate.
template <class Number>
HDETR_INLINE Number slope_of_delta(Number gradient, Number box) {
  return gradient * (1.0f - box) * box;
}

// Derivative with respect to the coordinate, from that with respect to the delta.
template <class Number>
HDETR_INLINE Number slope_of_reference(Number slope, Number x, float eps) {
  return slope_of_log(slope, x, eps) + slope_of_log(slope, 1.0f - x, eps);
}

}  // namespace hdetr
