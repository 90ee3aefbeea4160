// The tasks of affine_relu_cpu.h, for packs of any width.
#pragma once

#include <algorithm>
#include <cstdint>

#include "affine_relu_cpu.h"
#include "array.h"

namespace hdetr {

// A map as rows: planes with one channel each, or cells with all channels.
struct AffineRows {
  static constexpr int64_t kWorth = 1 << 14;  // numbers per task, some microseconds

  int64_t count, length, per_task;

  static AffineRows of(const AffineForm& form) {
    const int64_t length = form.together > 1 ? form.together : form.channels;
    const int64_t per_task = std::max<int64_t>(1, kWorth / std::max<int64_t>(1, length));
    return {form.size == 0 ? 0 : form.size / length, length, per_task};
  }
  int64_t tasks() const { return divide_up(count, per_task); }
};

template <int kLanes>
struct AffineKernels {
  using Number = Pack<float, kLanes>;

  // A full pack of numbers, and the remainder at the end of a row.
  struct Whole {
    HDETR_INLINE Number from(const ConstArray& array, int64_t place) const {
      return read<float, kLanes>(array, place);
    }
    HDETR_INLINE void to(const Array& array, int64_t place, const Number& numbers) const {
      write<float, kLanes>(array, place, numbers);
    }
  };
  struct Rest {
    int64_t count;
    HDETR_INLINE Number from(const ConstArray& array, int64_t place) const {
      return read_some<float, kLanes>(array, place, count);
    }
    HDETR_INLINE void to(const Array& array, int64_t place, const Number& numbers) const {
      write_some<float, kLanes>(array, place, count, numbers);
    }
  };

  // The constants of a row: one for all of it, or one per element.
  struct Constants {
    const float* values;
    bool differ;

    HDETR_INLINE static Constants of_row(const float* values, const AffineForm& form, int64_t row) {
      const bool differ = form.together <= 1;
      return {differ ? values : values + row % form.channels, differ};
    }
    template <class Some>
    HDETR_INLINE Number at(int64_t place, const Some& some) const {
      return differ ? some.from({values, Type::kFloat}, place) : Number{} + *values;
    }
  };

  // Calls use(row, position in it, numbers) for all numbers of some tasks.
  template <class Use>
  HDETR_INLINE static void for_all(const AffineForm& form, int64_t first, int64_t last,
                                   const Use& use) {
    const AffineRows rows = AffineRows::of(form);
    const int64_t end = std::min(last * rows.per_task, rows.count);
    for (int64_t row = first * rows.per_task; row < end; ++row) {
      int64_t place = 0;
      for (; place + kLanes <= rows.length; place += kLanes) use(row, place, Whole{});
      if (place < rows.length) use(row, place, Rest{rows.length - place});
    }
  }

  HDETR_INLINE static void apply(const AffineForm& form, const AffineInputs& inputs, const Array& y,
                                 int64_t first, int64_t last) {
    const int64_t length = AffineRows::of(form).length;
    for_all(form, first, last,
            [&](int64_t row, int64_t place, const auto& some) HDETR_INLINE_LAMBDA {
              const int64_t i = row * length + place;
              const Number scale = Constants::of_row(form.scale, form, row).at(place, some);
              const Number shift = Constants::of_row(form.shift, form, row).at(place, some);
              Number sum = some.from(inputs.x, i) * scale + shift;
              if (inputs.residual.data) sum += some.from(inputs.residual, i);
              some.to(y, i, cut_off(sum, form.ceiling));
            });
  }

  HDETR_INLINE static void differentiate(const AffineForm& form, const AffineGradients& gradients,
                                         int64_t first, int64_t last) {
    const int64_t length = AffineRows::of(form).length;
    for_all(form, first, last,
            [&](int64_t row, int64_t place, const auto& some) HDETR_INLINE_LAMBDA {
              const int64_t i = row * length + place;
              const Number scale = Constants::of_row(form.scale, form, row).at(place, some);
              const Number given = some.from(gradients.given, i), y = some.from(gradients.y, i);
              const Number through = let_through(given, y, form.ceiling);
              some.to(gradients.of_x, i, through * scale);
              if (gradients.of_residual.data) some.to(gradients.of_residual, i, through);
            });
  }
};

}  // namespace hdetr
