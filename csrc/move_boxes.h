// How far a box head moves a box, and the slopes of that, written once for the CPU and for CUDA.
//
// A coordinate x that is moved by d becomes sigmoid(d + log(a / b)) with a = clamp(x, eps, 1) and
// b = clamp(1 - x, eps, 1). It is computed as a / (a + b exp(-d)), which is the same.
#pragma once

#include <cstdint>

#include "elementary.h"
#include "number.h"

namespace hdetr {

constexpr int64_t kBoxNumbers = 4;  // cxcywh

// The sizes of a call: deltas and boxes [N, 4], references [N, 2 or 4].
struct MoveSizes {
  int64_t rows, numbers;  // N, and those of a reference
};

// All arrays are contiguous.
struct MoveArguments {
  MoveSizes sizes;
  float eps;
  const float* reference;
};

// The reference of a coordinate that has none: it is moved from a logit of 0.
inline constexpr float kNoReference = 0.5f;

// Where the reference of element `i` of [N, 4] stands; below 0 if it has none.
HDETR_INLINE int64_t reference_of(const MoveSizes& sizes, int64_t i) {
  const int64_t number = i % kBoxNumbers;
  return number < sizes.numbers ? i / kBoxNumbers * sizes.numbers + number : -1;
}

HDETR_INLINE float reference_at(const MoveArguments& given, int64_t i) {
  const int64_t place = reference_of(given.sizes, i);
  return place < 0 ? kNoReference : given.reference[place];
}

// One that is NaN stays.
template <class Number>
HDETR_INLINE Number clamp_odds(Number x, float eps) {
  const Number none{}, one = none + 1.0f, least = none + eps;
  const Number below = x > one ? one : x;
  return below < least ? least : below;
}

// The coordinate `x` moved by `delta`. Of the odds for and against it, the one is made smaller:
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

// slope / x where x is not clamped; at a bound it is. One comparison for both bounds: GCC takes a
// mask of two apart with AVX-512.
template <class Number>
HDETR_INLINE Number slope_of_log(Number slope, Number x, float eps) {
  const Number none{}, below = x - eps, above = 1.0f - x;
  const Number within = below < above ? below : above;
  return within > none ? slope / x : none;
}

// By the delta, from where it has moved the coordinate to.
template <class Number>
HDETR_INLINE Number slope_of_delta(Number gradient, Number box) {
  return gradient * (1.0f - box) * box;
}

// By the coordinate, from the slope by the delta.
template <class Number>
HDETR_INLINE Number slope_of_reference(Number slope, Number x, float eps) {
  return slope_of_log(slope, x, eps) + slope_of_log(slope, 1.0f - x, eps);
}

}  // namespace hdetr
