// How a run of tasks of ms_deform_attn_cpu.h accesses the values, and its scratch memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "buffer.h"
#include "ms_deform_attn_cpu.h"

namespace hdetr {

constexpr int64_t kBlockPoints = 256;   // sampling points of a block on one level: fit in L1
constexpr int64_t kBlockQueries = 64;   // maximum queries of a block
constexpr int64_t kSparePoints = 4;     // room after the points of a block
constexpr int64_t kPlaneQueries = 512;  // queries of a task that copies a plane
constexpr int64_t kDirectQueries = 32;  // queries of a task that does not

// How a run of tasks accesses the values of a head: in place, or in a copy.
//
// In a copy, the plane, the cells of a head are adjacent, 16-bit numbers are converted, and the
// channels are padded to whole vectors. It pays off for many queries.
struct Layout {
  bool direct;
  int64_t channels;  // of a row, padded
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

// The memory of a run of tasks. Per-point arrays cover one block on one level.
template <class Real>
struct Scratch {
  using Offset = std::conditional_t<sizeof(Real) == 4, int32_t, int64_t>;

  // `kept`: numbers per query that a kind of points needs on all levels.
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
    // The last pack of a block may be incomplete, and cells are prefetched.
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

// One head of one image: offsets of its first elements in the arrays.
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
