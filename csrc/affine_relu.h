// A constant norm, the sum with a shortcut and the ReLU after them in one pass over a map, which
// are memory traffic and nothing else.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

// Of contiguous numbers, `together` of which lie side by side and have one channel: all of a plane,
// or one where channels are last. `ceiling` is a number of the type of the map, or `no_ceiling()`.
struct AffineForm {
  int64_t size, channels, together;
  const float* scale;  // [channels]
  const float* shift;
  float ceiling;
};

// A NaN whose bits no arithmetic gives.
HDETR_INLINE float no_ceiling() { return bits_as<float>(int32_t{0x7fffffff}); }

// Numbers of the type of `x`. `residual` is null where there is none.
struct AffineInputs {
  ConstArray x, residual;
};

// The same of the backward: `of_residual` is null where it is not wanted.
struct AffineGradients {
  ConstArray given, y;
  Array of_x, of_residual;
};

// Comparisons with NaN are false: a NaN stays one, and no ceiling cuts nothing off.
template <class Number>
HDETR_INLINE Number cut_off(Number y, float ceiling) {
  const Number positive = y < 0.0f ? Number{} : y;
  return positive > ceiling ? Number{} + ceiling : positive;
}

// The gradient by what was cut off to be y: 0 where y is 0 or the ceiling. From the bits alone, as
// compilers may take packs apart to compare them, and without a comparison: what is not 0 has a
// negative opposite.
template <class Number>
HDETR_INLINE Number let_through(Number gradient, Number y, float ceiling) {
  using Bits = IntegerOf<Number>;
  const Bits magnitude = bits_as<Bits>(y) & 0x7fffffff;
  const Bits difference = magnitude ^ bits_as<int32_t>(ceiling);
  const Bits all_or_none = ((0 - magnitude) & (0 - difference)) >> 31;
  return bits_as<Number>(bits_as<Bits>(gradient) & all_or_none);
}

}  // namespace hdetr
