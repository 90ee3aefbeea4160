// A constant norm, the shortcut and the following ReLU in one pass over a feature map. The cost of
// each of them is memory traffic only.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

// The form of a contiguous map: `together` adjacent numbers share a channel (a whole plane, or 1 if
// channels are last). `ceiling` is a number of the map's type, or `no_ceiling()`.
struct AffineForm {
  int64_t size, channels, together;
  const float* scale;  // [channels]
  const float* shift;
  float ceiling;
};

// A NaN with a bit pattern that no arithmetic produces.
HDETR_INLINE float no_ceiling() { return bits_as<float>(int32_t{0x7fffffff}); }

// Arrays of the type of `x`. `residual` is null if there is none.
struct AffineInputs {
  ConstArray x, residual;
};

// The same for the backward pass: `of_residual` is null if it is not needed.
struct AffineGradients {
  ConstArray given, y;
  Array of_x, of_residual;
};

// Comparisons with NaN are false: NaN is kept, and `no_ceiling()` clips nothing.
template <class Number>
HDETR_INLINE Number cut_off(Number y, float ceiling) {
  const Number positive = y < 0.0f ? Number{} : y;
  return positive > ceiling ? Number{} + ceiling : positive;
}

// The gradient with respect to what was clipped to y: 0 where y is 0 or the ceiling. Computed from
// the bits, because compilers may split packs to compare them, and without a comparison: the
// negative of a nonzero magnitude has its sign bit set.
template <class Number>
HDETR_INLINE Number let_through(Number gradient, Number y, float ceiling) {
  using Bits = IntegerOf<Number>;
  const Bits magnitude = bits_as<Bits>(y) & 0x7fffffff;
  const Bits difference = magnitude ^ bits_as<int32_t>(ceiling);
  const Bits all_or_none = ((0 - magnitude) & (0 - difference)) >> 31;
  return bits_as<Number>(bits_as<Bits>(gradient) & all_or_none);
}

}  // namespace hdetr
