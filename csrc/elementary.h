// Elementary functions of float32, for any Number: accurate to two units in the last place, and NaN
// for NaN. The coefficients are minimax approximations.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

template <class Number, int kTerms>
HDETR_INLINE Number polynomial(Number x, const float (&coefficients)[kTerms]) {
  Number sum = Number{} + coefficients[kTerms - 1];
  for (int i = kTerms - 2; i >= 0; --i) sum = sum * x + coefficients[i];
  return sum;
}

// exp(x) for x <= 0. Results smaller than a normal number are 0.
template <class Number>
HDETR_INLINE Number exp_of_negative(Number x) {
  using Traits = NumberTraits<Number>;
  using Integer = IntegerOf<Number>;
  constexpr float kLog2E = 0x1.715476p+0f, kLowest = -87.33654f;
  // ln 2 in two parts, the first with few enough bits that its products are exact.
  constexpr float kLn2 = 0x1.62e4p-1f, kLn2Rest = 0x1.7f7d1cp-20f;
  constexpr float kRest[] = {0x1.fffffcp-2f, 0x1.55548ap-3f, 0x1.555916p-5f, 0x1.123fc6p-7f,
                             0x1.6a1a72p-10f};
  const Number none{};
  // Only values in range are converted to an integer.
  const Number safe = x > none + kLowest ? x : none + kLowest;
  const Integer power = Traits::truncate(safe * kLog2E - 0.5f);
  const Number n = Traits::real(power);
  const Number r = x - n * kLn2 - n * kLn2Rest;
  const Number fraction = 1.0f + r + r * r * polynomial(r, kRest);
  const Number scale = bits_as<Number>((power + 127) * (1 << 23));
  return x < none + kLowest ? none : fraction * scale;
}

// log(1 + x) for 0 <= x <= 1.
template <class Number>
HDETR_INLINE Number log1p_of_unit(Number x) {
  constexpr float kRest[] = {-0.499999017f,  0.333299637f,  -0.249541342f,
                             0.196759388f,   -0.153055921f, 0.106036551f,
                             -0.0569595322f, 0.0198514611f, -0.00324402493f};
  return x + x * x * polynomial(x, kRest);
}

}  // namespace hdetr
