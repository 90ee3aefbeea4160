// Half precision on the CPU: only its conversions.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda_runtime.h"

struct __half {
  uint16_t bits;
};

inline float __half2float(__half x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000) << 16;
  const uint32_t exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  if (exponent == 0) {
    const float magnitude = std::ldexp(float(fraction), -24);
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return emulated_bits<float>(sign | wide << 23 | fraction << 13);
}

// To nearest, ties to even: the current mode of std::nearbyint.
inline __half __float2half_rn(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float magnitude = std::fabs(x);
  if (std::isnan(x)) return {uint16_t(sign | 0x7fff)};
  if (magnitude >= 65520) return {uint16_t(sign | 0x7c00)};
  if (magnitude < std::ldexp(1.0f, -14)) {
    return {uint16_t(sign | uint16_t(std::nearbyint(std::ldexp(magnitude, 24))))};
  }
  int exponent;
  const float fraction = std::frexp(magnitude, &exponent);            // in [0.5, 1)
  const int rounded = int(std::nearbyint(std::ldexp(fraction, 11)));  // in [1024, 2048]
  return {uint16_t(sign | ((exponent + 13) * 1024 + rounded))};
}
