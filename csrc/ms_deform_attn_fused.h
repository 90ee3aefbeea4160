// Locations and weights of the points of multi-scale deformable attention, computed from a row per
// query: its offsets from a reference, and the logits of a softmax. For CPU and CUDA.
#pragma once

#include <cmath>
#include <cstdint>

#include "elementary.h"
#include "ms_deform_attn.h"
#include "number.h"

namespace hdetr {

// Layout of a query's row: the offsets [M, L, P, 2], then the logits [M, L * P].
struct RowLayout {
  int64_t samples, size;  // L * P per head; of the row
  int64_t first_logit;

  HDETR_INLINE static RowLayout of(const Sizes& sizes) {
    const int64_t samples = sizes.levels * sizes.points, all = sizes.heads * samples;
    return {samples, 3 * all, 2 * all};
  }
  HDETR_INLINE int64_t offset(int64_t query, int64_t head, int64_t sample) const {
    return query * size + 2 * (head * samples + sample);
  }
  HDETR_INLINE int64_t logit(int64_t query, int64_t head, int64_t sample) const {
    return query * size + first_logit + head * samples + sample;
  }
};

// A product that is rounded before something is added to it: all instruction sets must select the
// same cell for a point, whether or not they could fuse the two.
template <class Number>
HDETR_INLINE Number rounded_product(Number a, RealOf<Number> b) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(Number) == 8) {
    return __dmul_rn(a, b);
  } else {
    return __fmul_rn(a, b);
  }
#else
  Number product = a * b;
#if defined(__GNUC__) && !defined(__clang__)  // clang does not fuse across statements
  asm("" : "+m"(product));
#endif
  return product;
#endif
}

// The origin and unit of a query's offsets on one level.
template <class Real>
struct Origin {
  Real x, y;
  Real unit_x, unit_y;  // a cell, or half of the box divided by the number of points

  // `reference` has the numbers of one query and level: a point (x, y), or a box cxcywh.
  HDETR_INLINE static Origin of(const Real* reference, bool boxes, const Level<Real>& level,
                                Real part) {
    if (boxes) return {reference[0], reference[1], reference[2] * part, reference[3] * part};
    return {reference[0], reference[1], 2 * level.half_column, 2 * level.half_row};
  }
  template <class Number>
  HDETR_INLINE Number x_of(Number offset) const {
    return x + rounded_product(offset, unit_x);
  }
  template <class Number>
  HDETR_INLINE Number y_of(Number offset) const {
    return y + rounded_product(offset, unit_y);
  }
};

// For a box, the unit of an offset.
template <class Real>
HDETR_INLINE Real part_of_box(int64_t points) {
  return Real(0.5 / static_cast<double>(points));
}

// A logit's term in the sum of a softmax; `largest` is the maximum over all.
template <class Number>
HDETR_INLINE Number softmax_term(Number logit, RealOf<Number> largest) {
  if constexpr (sizeof(RealOf<Number>) == 4) {
    const Number none{}, below = logit - largest;
    return exp_of_negative(below > none ? none : below);  // with a NaN there may be no maximum
  } else if constexpr (sizeof(Number) == 8) {
    return std::exp(logit - largest);
  } else {
    Number term = logit - largest;
    for (size_t i = 0; i < sizeof(Number) / 8; ++i) term[i] = std::exp(term[i]);
    return term;
  }
}

// The gradient with respect to a logit: `mean` is the weighted mean of the gradients with respect
// to all weights.
template <class Number>
HDETR_INLINE Number logit_gradient(Number weight, Number gradient, RealOf<Number> mean) {
  return weight * (gradient - mean);
}

}  // namespace hdetr
