// The kernels of move_boxes_cpu.h, for packs of any width.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "move_boxes_cpu.h"
#include "pack.h"

namespace hdetr {

template <int kLanes>
struct MoveKernels {
  using Number = Pack<float, kLanes>;

  // `count` numbers; further lanes of the pack are 0.
  HDETR_INLINE static Number read(const float* from, int64_t count) {
    if (count == kLanes) return load<Number>(from);
    Number numbers{};
    std::memcpy(&numbers, from, count * sizeof(float));
    return numbers;
  }

  HDETR_INLINE static void write(float* to, const Number& numbers, int64_t count) {
    if (count == kLanes) return store(to, numbers);
    std::memcpy(to, &numbers, count * sizeof(float));
  }

  // For the elements [i, i + count) of [N, 4], which are whole rows.
  HDETR_INLINE static Number read_reference(const MoveArguments& given, int64_t i, int64_t count) {
    if (given.sizes.numbers == kBoxNumbers) return read(given.reference + i, count);
    float numbers[kLanes];
    for (float& number : numbers) number = kNoReference;
    for (int64_t lane = 0; lane < count; lane += kBoxNumbers) {
      std::memcpy(numbers + lane, given.reference + (i + lane) / 2, 2 * sizeof(float));
    }
    return load<Number>(numbers);
  }

  HDETR_INLINE static void write_reference(const MoveSizes& sizes, float* to, int64_t i,
                                           const Number& numbers, int64_t count) {
    if (sizes.numbers == kBoxNumbers) return write(to + i, numbers, count);
    float all[kLanes];
    store(all, numbers);
    for (int64_t lane = 0; lane < count; lane += kBoxNumbers) {
      std::memcpy(to + (i + lane) / 2, all + lane, 2 * sizeof(float));
    }
  }

  // Calls use(first element, count) for every pack of the rows.
  template <class Use>
  HDETR_INLINE static void for_each_pack(int64_t first, int64_t last, const Use& use) {
    const int64_t end = last * kBoxNumbers;
    int64_t i = first * kBoxNumbers;
    for (; i + kLanes <= end; i += kLanes) use(i, int64_t{kLanes});
    if (i < end) use(i, end - i);
  }

  HDETR_INLINE static void move(const MoveArguments& given, const float* delta, float* boxes,
                                int64_t first, int64_t last) {
    for_each_pack(first, last, [&](int64_t i, int64_t count) HDETR_INLINE_LAMBDA {
      const Number reference = read_reference(given, i, count);
      write(boxes + i, moved(read(delta + i, count), reference, given.eps), count);
    });
  }

  HDETR_INLINE static void differentiate(const MoveArguments& given, const MoveGradients& gradients,
                                         int64_t first, int64_t last) {
    for_each_pack(first, last, [&](int64_t i, int64_t count) HDETR_INLINE_LAMBDA {
      const Number slope =
          slope_of_delta(read(gradients.grad_boxes + i, count), read(gradients.boxes + i, count));
      write(gradients.grad_delta + i, slope, count);
      if (gradients.grad_reference == nullptr) return;
      const Number reference = read_reference(given, i, count);
      write_reference(given.sizes, gradients.grad_reference, i,
                      slope_of_reference(slope, reference, given.eps), count);
    });
  }
};

}  // namespace hdetr
