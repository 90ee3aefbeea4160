// The tasks of sigmoid_focal_loss_cpu.h, for packs of any width.
//
// All logits of a task are first treated as negatives, in whole packs across the rows; those of the
// labels are then gathered and corrected.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "array.h"
#include "sigmoid_focal_loss_cpu.h"

namespace hdetr {

constexpr int64_t kFocalNumbers = 8192;  // approximate number of logits per task

struct FocalTasks {
  int64_t rows;       // maximum per task
  int64_t per_layer;  // tasks

  static FocalTasks of(const FocalSizes& sizes) {
    const int64_t rows = std::max<int64_t>(1, kFocalNumbers / std::max<int64_t>(1, sizes.classes));
    return {rows, divide_up(sizes.rows, rows)};
  }
};

template <int kLanes>
struct FocalKernels {
  using Number = Pack<float, kLanes>;

  // Rows [first, last) of all layers together.
  struct Rows {
    int64_t layer, first, last;

    HDETR_INLINE static Rows of_task(const FocalSizes& sizes, int64_t task) {
      const FocalTasks tasks = FocalTasks::of(sizes);
      const int64_t layer = task / tasks.per_layer, row = task % tasks.per_layer * tasks.rows;
      return {layer, layer * sizes.rows + row,
              layer * sizes.rows + std::min(row + tasks.rows, sizes.rows)};
    }
  };

  // The logits of the labels of some rows.
  struct Gathered {
    std::vector<int64_t> places;
    std::vector<char> bytes;

    HDETR_INLINE void gather(const FocalArguments& arguments, const Rows& rows) {
      const int64_t size = element_size(arguments.logits.type);
      const auto* const data = static_cast<const char*>(arguments.logits.data);
      places.clear();
      for (int64_t row = rows.first; row < rows.last; ++row) {
        const int64_t label = arguments.labels[row];
        if (label >= 0 && label < arguments.sizes.classes) {
          places.push_back(row * arguments.sizes.classes + label);
        }
      }
      bytes.resize(places.size() * size);
      for (size_t i = 0; i < places.size(); ++i) {
        std::memcpy(bytes.data() + i * size, data + places[i] * size, size);
      }
    }

    HDETR_INLINE void scatter(const Array& array) const {
      const int64_t size = element_size(array.type);
      for (size_t i = 0; i < places.size(); ++i) {
        std::memcpy(static_cast<char*>(array.data) + places[i] * size, bytes.data() + i * size,
                    size);
      }
    }
  };

  // ---- loss

  // The sum of term(p) over the numbers [first, last) of an array.
  template <class Term>
  HDETR_INLINE static double sum(const ConstArray& array, int64_t first, int64_t last,
                                 const Term& term) {
    constexpr int64_t kAtOnce = 32 * kLanes;  // in float32
    double total = 0;
    int64_t i = first;
    while (i + kLanes <= last) {
      Number some{};
      for (const int64_t end = std::min(i + kAtOnce, last - kLanes + 1); i < end; i += kLanes) {
        some += term(Probability<Number>::of(read<float, kLanes>(array, i)));
      }
      total += sum_of_lanes<kLanes>(some);
    }
    if (i == last) return total;
    const Number rest = term(Probability<Number>::of(read_some<float, kLanes>(array, i, last - i)));
    for (int64_t lane = 0; lane < last - i; ++lane) total += rest[lane];
    return total;
  }

  HDETR_INLINE static double sum_rows(const FocalArguments& arguments, const Rows& rows,
                                      Gathered& gathered) {
    const int64_t classes = arguments.sizes.classes;
    const FocalForm form = arguments.form;
    const auto negative = [form](const auto& p)
                              HDETR_INLINE_LAMBDA { return negative_loss(p, form); };
    double total = 0;
    for (int64_t row = rows.first; row < rows.last;) {
      const int64_t first = row;
      for (; row < rows.last && arguments.labels[row] != kNoLoss; ++row) {
        if (is_unknown(arguments.labels[row], classes)) return NAN;
      }
      if (first < row) total += sum(arguments.logits, first * classes, row * classes, negative);
      while (row < rows.last && arguments.labels[row] == kNoLoss) ++row;
    }
    gathered.gather(arguments, rows);
    const auto difference = [form](const auto& p) HDETR_INLINE_LAMBDA {
      return positive_loss(p, form) - negative_loss(p, form);
    };
    const ConstArray logits{gathered.bytes.data(), arguments.logits.type};
    return total + sum(logits, 0, gathered.places.size(), difference);
  }

  HDETR_INLINE static void sum_losses(const FocalArguments& arguments, int64_t first, int64_t last,
                                      double* sums) {
    Gathered gathered;
    for (int64_t task = first; task < last; ++task) {
      sums[task] = sum_rows(arguments, Rows::of_task(arguments.sizes, task), gathered);
    }
  }

  // ---- gradient

  // factor * slope(p) for the numbers [first, last) of an array.
  template <class Slope>
  HDETR_INLINE static void differentiate(const ConstArray& from, const Array& to, int64_t first,
                                         int64_t last, float factor, const Slope& slope) {
    int64_t i = first;
    for (; i + kLanes <= last; i += kLanes) {
      const auto p = Probability<Number>::of(read<float, kLanes>(from, i));
      write<float, kLanes>(to, i, factor * slope(p));
    }
    if (i == last) return;
    const auto p = Probability<Number>::of(read_some<float, kLanes>(from, i, last - i));
    write_some<float, kLanes>(to, i, last - i, factor * slope(p));
  }

  HDETR_INLINE static void fill_row(const Array& array, int64_t row, int64_t classes,
                                    float number) {
    for (int64_t k = 0; k < classes; k += kLanes) {
      write_some<float, kLanes>(array, row * classes + k, std::min<int64_t>(kLanes, classes - k),
                                Number{} + number);
    }
  }

  HDETR_INLINE static void differentiate_rows(const FocalArguments& arguments, const Rows& rows,
                                              float factor, const Array& grad_logits,
                                              Gathered& gathered) {
    const int64_t classes = arguments.sizes.classes;
    const FocalForm form = arguments.form;
    differentiate(arguments.logits, grad_logits, rows.first * classes, rows.last * classes, factor,
                  [form](const auto& p) HDETR_INLINE_LAMBDA { return negative_slope(p, form); });
    gathered.gather(arguments, rows);
    const Array some{gathered.bytes.data(), arguments.logits.type};
    differentiate({some.data, some.type}, some, 0, gathered.places.size(), factor,
                  [form](const auto& p) HDETR_INLINE_LAMBDA { return positive_slope(p, form); });
    gathered.scatter(grad_logits);
    for (int64_t row = rows.first; row < rows.last; ++row) {
      const int64_t label = arguments.labels[row];
      if (label == kNoLoss) fill_row(grad_logits, row, classes, 0);
      if (is_unknown(label, classes)) fill_row(grad_logits, row, classes, NAN);
    }
  }

  HDETR_INLINE static void differentiate_tasks(const FocalArguments& arguments,
                                               const float* grad_loss, const Array& grad_logits,
                                               int64_t first, int64_t last) {
    Gathered gathered;
    for (int64_t task = first; task < last; ++task) {
      const Rows rows = Rows::of_task(arguments.sizes, task);
      differentiate_rows(arguments, rows, grad_loss[rows.layer], grad_logits, gathered);
    }
  }
};

}  // namespace hdetr
