// Arrays of 16-, 32- and 64-bit numbers, read and written as packs of the computation's type.
#pragma once

#include <cstdint>

#include "pack.h"

namespace hdetr {

template <int kLanes>
HDETR_INLINE Pack<float, kLanes> from_bfloat16(const Pack<uint16_t, kLanes>& bits) {
  using Bits = Pack<uint32_t, kLanes>;
  return bits_as<Pack<float, kLanes>>(__builtin_convertvector(bits, Bits) << 16);
}

// Rounds to nearest, ties to even.
template <int kLanes>
HDETR_INLINE Pack<uint16_t, kLanes> to_bfloat16(const Pack<float, kLanes>& numbers) {
  using Bits = Pack<uint32_t, kLanes>;
  const Bits bits = bits_as<Bits>(numbers);
  const Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Bits nan = (bits >> 16) | 0x40;  // quiet, and never rounded up to infinity
  const Bits result = (bits & 0x7fffffff) > 0x7f800000 ? nan : rounded;
  return __builtin_convertvector(result, Pack<uint16_t, kLanes>);
}

template <int kLanes>
HDETR_INLINE Pack<float, kLanes> from_half(const Pack<uint16_t, kLanes>& bits) {
  using Bits = Pack<uint32_t, kLanes>;
  using Floats = Pack<float, kLanes>;
  const Bits wide = __builtin_convertvector(bits, Bits);
  const Bits magnitude = (wide & 0x7fff) << 13;
  // The exponent biases differ by 112. The product is also correct for subnormal numbers.
  const Bits finite = bits_as<Bits>(bits_as<Floats>(magnitude) * 0x1p112f);
  const Bits result = magnitude >= 0x0f800000u ? magnitude | 0x7f800000 : finite;
  return bits_as<Floats>(result | (wide & 0x8000) << 16);
}

// Rounds to nearest, ties to even; too large numbers become infinite.
template <int kLanes>
HDETR_INLINE Pack<uint16_t, kLanes> to_half(const Pack<float, kLanes>& numbers) {
  using Bits = Pack<uint32_t, kLanes>;
  using Floats = Pack<float, kLanes>;
  const Bits bits = bits_as<Bits>(numbers);
  const Bits magnitude = bits & 0x7fffffff;
  const Bits normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // Adding one half aligns the last bit of a number below 2^-14 with that of the half.
  const Bits subnormal = bits_as<Bits>(bits_as<Floats>(magnitude) + 0.5f) - 0x3f000000;
  const Bits nan = magnitude > 0x7f800000 ? Bits{} + 0x7e00 : Bits{} + 0x7c00;
  const Bits finite = magnitude < 0x38800000 ? subnormal : normal;
  const Bits result = magnitude >= 0x47800000 ? nan : finite;
  return __builtin_convertvector(result | ((bits >> 16) & 0x8000), Pack<uint16_t, kLanes>);
}

// Elements [index, index + kLanes) of the array.
template <class Real, int kLanes>
HDETR_INLINE Pack<Real, kLanes> read(const ConstArray& array, int64_t index) {
  if constexpr (sizeof(Real) == 4) {
    const auto* words = static_cast<const uint16_t*>(array.data) + index;
    if (array.type == Type::kBFloat16) {
      return from_bfloat16<kLanes>(load<Pack<uint16_t, kLanes>>(words));
    }
    if (array.type == Type::kHalf) return from_half<kLanes>(load<Pack<uint16_t, kLanes>>(words));
  }
  return load<Pack<Real, kLanes>>(static_cast<const Real*>(array.data) + index);
}

template <class Real, int kLanes>
HDETR_INLINE void write(const Array& array, int64_t index, const Pack<Real, kLanes>& numbers) {
  if constexpr (sizeof(Real) == 4) {
    auto* words = static_cast<uint16_t*>(array.data) + index;
    if (array.type == Type::kBFloat16) return store(words, to_bfloat16<kLanes>(numbers));
    if (array.type == Type::kHalf) return store(words, to_half<kLanes>(numbers));
  }
  store(static_cast<Real*>(array.data) + index, numbers);
}

// The first `count` elements from `index` on, fewer than the lanes of a pack; the other lanes are
// 0.
template <class Real, int kLanes>
HDETR_INLINE Pack<Real, kLanes> read_some(const ConstArray& array, int64_t index, int64_t count) {
  const int64_t size = element_size(array.type);
  char bytes[kLanes * sizeof(Real)] = {};
  std::memcpy(bytes, static_cast<const char*>(array.data) + index * size, count * size);
  return read<Real, kLanes>({bytes, array.type}, 0);
}

template <class Real, int kLanes>
HDETR_INLINE void write_some(const Array& array, int64_t index, int64_t count,
                             const Pack<Real, kLanes>& numbers) {
  const int64_t size = element_size(array.type);
  char bytes[kLanes * sizeof(Real)];
  write<Real, kLanes>({bytes, array.type}, 0, numbers);
  std::memcpy(static_cast<char*>(array.data) + index * size, bytes, count * size);
}

}  // namespace hdetr
