// The arithmetic of one sampling point of multi-scale deformable attention
// (https://arxiv.org/abs/2010.04159, equation 3), for CPU and CUDA.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

// Sizes: value [B, S, M, D], sampling locations [B, Q, M, L, P, 2], attention weights [B, Q, M, L,
// P], output [B, Q, M * D].
struct Sizes {
  int64_t batch, cells, heads, channels, queries, levels, points;  // B, S, M, D, Q, L, P
};

// One feature level: its size, and the index of its first cell among the S cells of a value.
template <class Real>
struct Level {
  int32_t height, width;
  int32_t start;
  Real half_row, half_column;  // 0.5 / height, 0.5 / width

  static Level make(int32_t height, int32_t width, int32_t start) {
    return {height, width, start, Real(0.5) / Real(height), Real(0.5) / Real(width)};
  }
};

// Linear interpolation between two neighbouring cells along an axis. A neighbour beyond the border
// has weight 0, and is replaced by the other cell, so that both can always be read.
template <class Number>
struct Interval {
  IntegerOf<Number> cell;  // the first of the two that is inside
  IntegerOf<Number> step;  // from there to the second: 1, or 0 if there is only one
  Number first, second;    // their weights
  // Derivatives of the weights with respect to the pixel coordinate: -1 and 1, or 0
  Number d_first, d_second;
  IntegerOf<Number> within;  // 1, or 0: the point is at least a cell outside, and samples nothing
  IntegerOf<Number> lost;    // 1: the location is not finite
};

// `location` is the coordinate in [0, 1], `half` is 0.5 / size. The weights of a non-finite
// location are NaN, so that a diverged run shows.
template <class Number>
HDETR_INLINE Interval<Number> locate_on_axis(Number location, int32_t size, RealOf<Number> half) {
  using Traits = NumberTraits<Number>;
  using Integer = IntegerOf<Number>;
  using Real = RealOf<Number>;
  const Number none{}, one = none + Real(1);
  const Integer here{}, next = here + 1;
  // A difference followed by a product: no compiler can fuse them into something that rounds
  // differently, so all instruction sets select the same cell.
  const Number pixel = (location - half) * Real(size);
  const Number zero = location - location;  // NaN if not finite
  const auto near = (pixel > none - Real(1)) & (pixel < none + Real(size));
  // Only values in range are converted to an integer.
  const Number safe = near ? pixel : none;
  const Integer truncated = Traits::truncate(safe);
  const Integer low = Traits::real(truncated) > safe ? truncated - 1 : truncated;
  const Number fraction = safe - Traits::real(low) + zero;
  const auto has_first = low >= here;
  const auto has_second = low < here + (size - 1);
  Interval<Number> interval;
  interval.cell = has_first ? low : here;
  interval.step = (has_first & has_second) ? next : here;
  interval.first = has_first ? one - fraction : none;
  interval.second = has_second ? fraction : none;
  interval.d_first = has_first ? -one : none;
  interval.d_second = has_second ? one : none;
  interval.within = near ? next : here;
  interval.lost = zero != none ? next : here;
  return interval;
}

// The four cells around a sampling point: top left, top right, bottom left, bottom right.
enum Corner { kTopLeft, kTopRight, kBottomLeft, kBottomRight, kCorners };

template <class Number>
struct Sample {
  Interval<Number> row, column;
  int32_t width;

  // 0 if the point samples nothing.
  HDETR_INLINE IntegerOf<Number> within() const {
    return (row.within & column.within) | row.lost | column.lost;
  }
  // Index of the top left cell within the level.
  HDETR_INLINE IntegerOf<Number> cell() const { return row.cell * width + column.cell; }
  // Steps from there to the right and down.
  HDETR_INLINE IntegerOf<Number> right() const { return column.step; }
  HDETR_INLINE IntegerOf<Number> down() const { return row.step * width; }
  // The weight of `corner` in the interpolated value.
  HDETR_INLINE Number share(int corner) const {
    return (corner < kBottomLeft ? row.first : row.second) *
           (corner == kTopLeft || corner == kBottomLeft ? column.first : column.second);
  }
};

template <class Number>
HDETR_INLINE Sample<Number> locate(Number x, Number y, const Level<RealOf<Number>>& level) {
  return {locate_on_axis(y, level.height, level.half_row),
          locate_on_axis(x, level.width, level.half_column), level.width};
}

// Gradients of one sampling point.
template <class Number>
struct SampleGradient {
  Number x, y;    // with respect to the location, in [0, 1]
  Number weight;  // with respect to the attention weight
};

// `dots` are the dot products of the output's gradient with the values of the four corners.
template <class Number>
HDETR_INLINE SampleGradient<Number> gradient(const Sample<Number>& sample,
                                             const Level<RealOf<Number>>& level, Number weight,
                                             const Number (&dots)[kCorners]) {
  using Real = RealOf<Number>;
  const Interval<Number>&row = sample.row, &column = sample.column;
  const Number top = column.first * dots[kTopLeft] + column.second * dots[kTopRight];
  const Number bottom = column.first * dots[kBottomLeft] + column.second * dots[kBottomRight];
  const Number left = row.first * dots[kTopLeft] + row.second * dots[kBottomLeft];
  const Number right = row.first * dots[kTopRight] + row.second * dots[kBottomRight];
  return {weight * Real(level.width) * (column.d_first * left + column.d_second * right),
          weight * Real(level.height) * (row.d_first * top + row.d_second * bottom),
          row.first * top + row.second * bottom};
}

}  // namespace hdetr
