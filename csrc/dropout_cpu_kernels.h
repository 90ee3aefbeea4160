// The tasks of dropout_cpu.h, for packs of any width.
#pragma once

#include <algorithm>
#include <cstdint>

#include "array.h"
#include "dropout_cpu.h"
#include "random_bits.h"

namespace hdetr {

template <int kLanes>
struct DropoutKernels {
  using Number = Pack<float, kLanes>;
  using Word = Pack<uint32_t, kLanes>;

  HDETR_INLINE static Number kept(const DropoutArguments& arguments, const Word& bits,
                                  const Number& numbers) {
    return bits >= arguments.dropped ? numbers * arguments.scale : Number{};
  }

  HDETR_INLINE static void drop_chunk(const DropoutArguments& arguments, int64_t chunk) {
    const RandomKey key = RandomKey::of_chunk(arguments.seed, chunk);
    const int64_t first = chunk * kRandomChunk;
    const int64_t count = std::min(kRandomChunk, arguments.size - first);
    Word places{};
    for (int lane = 0; lane < kLanes; ++lane) places[lane] = lane;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes, places += kLanes) {
      const Number numbers = read<float, kLanes>(arguments.from, first + i);
      write<float, kLanes>(arguments.to, first + i,
                           kept(arguments, random_bits(key, places), numbers));
    }
    if (i == count) return;
    const Number rest = read_some<float, kLanes>(arguments.from, first + i, count - i);
    write_some<float, kLanes>(arguments.to, first + i, count - i,
                              kept(arguments, random_bits(key, places), rest));
  }

  HDETR_INLINE static void drop(const DropoutArguments& arguments, int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) drop_chunk(arguments, chunk);
  }
};

}  // namespace hdetr
