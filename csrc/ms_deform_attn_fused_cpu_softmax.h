// The softmax over the samples of a head, and its derivative, for ms_deform_attn_fused_cpu.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "array.h"
#include "buffer.h"
#include "ms_deform_attn_cpu_points.h"
#include "ms_deform_attn_fused_cpu.h"
#include "pack.h"

namespace hdetr {

constexpr int64_t kSoftmaxQueries = 32;  // per task
constexpr int64_t kWidestPack = 16;

inline int64_t filled_samples(const Sizes& sizes) {
  return divide_up(sizes.levels * sizes.points, kWidestPack) * kWidestPack;
}

template <class Real, int kLanes>
struct SoftmaxKernels {
  static constexpr int kPoints = PointKernels<Real, kLanes>::kPoints;
  using Numbers = Pack<Real, kPoints>;
  using Quad = Pack<Real, 4>;

  HDETR_INLINE static Real largest_of(const Numbers& numbers) {
    Real largest = numbers[0];
    for (int i = 1; i < kPoints; ++i) largest = numbers[i] > largest ? numbers[i] : largest;
    return largest;
  }
  HDETR_INLINE static Real sum_of(const Numbers& numbers) {
    const Quad four = fold_to_four<Real, kPoints>(numbers);
    return four[0] + four[1] + (four[2] + four[3]);
  }

  // `count` numbers from `from` on, padded with `rest` to whole packs.
  HDETR_INLINE static void read_filled(const ConstArray& array, int64_t from, int64_t count,
                                       Real rest, Real* numbers) {
    int64_t i = 0;
    for (; i + kPoints <= count; i += kPoints) {
      store(numbers + i, read<Real, kPoints>(array, from + i));
    }
    if (i == count) return;
    const int64_t end = i + kPoints;
    for (; i < count; ++i) store(numbers + i, read<Real, 1>(array, from + i));
    for (; i < end; ++i) numbers[i] = rest;
  }

  // The softmax of `count` logits, padded with zeros to whole packs.
  HDETR_INLINE static void softmax(const ConstArray& rows, int64_t from, int64_t count,
                                   Real* weights) {
    if (count == 0) return;
    read_filled(rows, from, count, -std::numeric_limits<Real>::infinity(), weights);
    Numbers most = load<Numbers>(weights);
    for (int64_t i = kPoints; i < count; i += kPoints) {
      const Numbers logits = load<Numbers>(weights + i);
      most = logits > most ? logits : most;
    }
    const Real largest = largest_of(most);
    Numbers sums{};
    for (int64_t i = 0; i < count; i += kPoints) {
      const Numbers terms = softmax_term(load<Numbers>(weights + i), largest);
      store(weights + i, terms);
      sums += terms;
    }
    const Real sum = sum_of(sums);
    for (int64_t i = 0; i < count; i += kPoints) {
      store(weights + i, load<Numbers>(weights + i) / sum);
    }
  }

  // For one head: `weights` is its padded softmax, `by_weights` the gradient with respect to it.
  HDETR_INLINE static void write_logits(const Real* weights, const Real* by_weights, int64_t count,
                                        const Array& rows, int64_t to) {
    Numbers sums{};
    for (int64_t i = 0; i < count; i += kPoints) {
      sums += load<Numbers>(weights + i) * load<Numbers>(by_weights + i);
    }
    const Real mean = sum_of(sums);
    int64_t i = 0;
    for (; i + kPoints <= count; i += kPoints) {
      const Numbers weight = load<Numbers>(weights + i), by_weight = load<Numbers>(by_weights + i);
      write<Real, kPoints>(rows, to + i, logit_gradient(weight, by_weight, mean));
    }
    for (; i < count; ++i) {
      const Pack<Real, 1> gradient{logit_gradient(weights[i], by_weights[i], mean)};
      write<Real, 1>(rows, to + i, gradient);
    }
  }

  HDETR_INLINE static void run(const SoftmaxArguments<Real>& arguments, int64_t first,
                               int64_t last) {
    const Sizes& sizes = arguments.sizes;
    const Buffer<Real> memory(2 * filled_samples(sizes));
    Real *const weights = memory.get(), *const by_weights = weights + filled_samples(sizes);
    const int64_t end = std::min(last * kSoftmaxQueries, sizes.batch * sizes.queries);
    for (int64_t query = first * kSoftmaxQueries; query < end; ++query) {
      differentiate_softmax(arguments, query, weights, by_weights);
      if (arguments.grad_reference) differentiate_reference(arguments, query);
    }
  }

  HDETR_INLINE static void differentiate_softmax(const SoftmaxArguments<Real>& arguments,
                                                 int64_t query, Real* weights, Real* by_weights) {
    const RowLayout row = RowLayout::of(arguments.sizes);
    const auto& gradients = arguments.gradients;
    constexpr Type kType = sizeof(Real) == 4 ? Type::kFloat : Type::kDouble;
    for (int64_t m = 0; m < arguments.sizes.heads; ++m) {
      const int64_t logits = row.logit(query, m, 0);
      softmax(arguments.points.rows, logits, row.samples, weights);
      const int64_t from = query * gradients.weights_row + m * row.samples;
      read_filled({gradients.weights, kType}, from, row.samples, Real(0), by_weights);
      write_logits(weights, by_weights, row.samples, gradients.rows, logits);
    }
  }

  // Rarely needed: one point at a time.
  HDETR_INLINE static void differentiate_reference(const SoftmaxArguments<Real>& arguments,
                                                   int64_t query) {
    const Sizes& sizes = arguments.sizes;
    const RowPoints<Real>& points = arguments.points;
    const RowLayout row = RowLayout::of(sizes);
    const Real part = part_of_box<Real>(sizes.points);
    for (int64_t l = 0; l < sizes.levels; ++l) {
      Real sums[4] = {};
      for (int64_t m = 0; m < sizes.heads; ++m) {
        for (int64_t p = 0; p < sizes.points; ++p) {
          const int64_t sample = l * sizes.points + p;
          const int64_t pair = (query * sizes.heads + m) * row.samples + sample;
          for (int axis = 0; axis < 2; ++axis) {
            const Real by_location = arguments.gradients.locations[2 * pair + axis];
            sums[axis] += by_location;
            if (!points.boxes) continue;
            const auto offset = read<Real, 1>(points.rows, row.offset(query, m, sample) + axis);
            sums[2 + axis] += by_location * (offset[0] * part);
          }
        }
      }
      Real* const to = arguments.grad_reference + (query * sizes.levels + l) * points.numbers();
      for (int64_t i = 0; i < points.numbers(); ++i) to[i] = sums[i];
    }
  }
};

}  // namespace hdetr
