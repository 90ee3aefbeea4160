// How a run of tasks of ms_deform_attn_cpu.h reads the values, and the memory that it works in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "buffer.h"
#include "ms_deform_attn_cpu.h"

namespace hdetr {

constexpr int64_t kBlockPoints = 256;   // sampling points of a block on one level: fit in L1
constexpr int64_t kBlockQueries = 64;   // queries of a block, at most
constexpr int64_t kSparePoints = 4;     // room after the points of a block
constexpr int64_t kPlaneQueries = 512;  // queries of a task that copies a plane
constexpr int64_t kDirectQueries = 32;  // queries of a task that does not

// How a run of tasks reads the values of a head: where they stand, or from a copy of its own.
//
// In a copy, the plane, the cells of one head are neighbours, 16-bit numbers are already converted
// and the channels are filled up to whole vectors. It pays when there are many queries.
struct Layout {
  bool direct;
  int64_t channels;  // of a row, filled up
  int64_t stride;    // from cell to cell

  template <class Real>
  static Layout choose(const Sizes& sizes, Type type, int lanes) {
    constexpr Type kNative = sizeof(Real) == 4 ? Type::kFloat : Type::kDouble;
    const int64_t stride = sizes.heads * sizes.channels;
    const bool few = sizes.queries < sizes.cells / 4;
    const bool whole = sizes.channels % lanes == 0;
    const bool near = sizes.cells * stride <= INT32_MAX;  // offsets have 32 bits
    if (few && whole && near && type == kNative) return {true, sizes.channels, stride};
    const int64_t filled = divide_up(sizes.channels, lanes) * lanes;
    return {false, filled, filled};
  }
};

inline int64_t block_queries(const Sizes& sizes) {
  return std::clamp<int64_t>(kBlockPoints / std::max<int64_t>(sizes.points, 1), 1, kBlockQueries);
}

// The memory that a run of tasks works in. What is per point holds one block on one level.
template <class Real>
struct Scratch {
  using Offset = std::conditional_t<sizeof(Real) == 4, int32_t, int64_t>;

  // `kept`: numbers of a query that a kind of points needs on all levels.
  Scratch(const Sizes& sizes, const Layout& layout, int64_t planes, int64_t kept)
      : points(divide_up(block_queries(sizes) * sizes.points + kSparePoints, 16) * 16),
        kept_numbers(kept),
        reals(points * (3 + 2 * kCorners) + block_queries(sizes) * (layout.channels + kept)),
        offsets(points * kCorners),
        cells(layout.direct ? 0 : planes * sizes.cells * layout.channels) {
    x = reals.get();
    y = x + points;
    weight = y + points;
    share = weight + points;
    dots = share + kCorners * points;
    rows = dots + kCorners * points;
    kept_rows = rows + block_queries(sizes) * layout.channels;
    offset = offsets.get();
    plane = cells.get();
    // The last pack of a block may be a part of one, and cells are asked for ahead of their turn.
    std::fill(x, rows, Real(0));
    std::fill(offset, offset + kCorners * points, Offset(0));
  }

  int64_t points, kept_numbers;
  Buffer<Real> reals;
  Buffer<Offset> offsets;
  Buffer<Real> cells;
  Real *x, *y, *weight;  // [points]
  Real* share;           // [corners, points], weighted
  Real* dots;            // [points, corners]
  Real* rows;            // [queries, channels], the output or its gradient
  Real* kept_rows;       // [queries, kept_numbers]
  Offset* offset;        // [corners, points], in a plane; negative where nothing is sampled
  Real* plane;
};

// One head of one image: where its first elements stand in the arrays.
struct Head {
  const Sizes& sizes;
  int64_t image, head;

  HDETR_INLINE int64_t cell(int64_t s) const {
    return ((image * sizes.cells + s) * sizes.heads + head) * sizes.channels;
  }
  HDETR_INLINE int64_t row(int64_t query) const {
    return ((image * sizes.queries + query) * sizes.heads + head) * sizes.channels;
  }
  HDETR_INLINE int64_t point(int64_t query, int64_t level) const {
    const int64_t pair = (image * sizes.queries + query) * sizes.heads + head;
    return (pair * sizes.levels + level) * sizes.points;
  }
};

// Queries [first, first + count).
struct Block {
  int64_t first, count;
};

}  // namespace hdetr
