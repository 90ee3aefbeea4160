// The channels of ms_deform_attn_cpu.h: copying rows between arrays and scratch memory, and sums
// over the cells of sampling points.
#pragma once

#include <cstdint>
#include <type_traits>

#include "array.h"
#include "buffer.h"
#include "ms_deform_attn.h"
#include "ms_deform_attn_cpu_scratch.h"
#include "pack.h"

namespace hdetr {

constexpr int64_t kCellsAhead = 16;  // how far values are prefetched when a plane is copied
constexpr int64_t kPointsAhead = 4;  // how far the cells of points are prefetched during sums
static_assert(kPointsAhead <= kSparePoints);

template <class Real, int kLanes>
struct ChannelKernels {
  using Wide = Pack<Real, kLanes>;
  using Offset = typename Scratch<Real>::Offset;

  // The rows of one head are too far apart for the hardware prefetcher.
  template <class AnyArray>
  HDETR_INLINE static void fetch_row(const AnyArray& array, int64_t index, int64_t channels) {
    constexpr bool kWrite = std::is_same_v<AnyArray, Array>;
    const int64_t size = element_size(array.type);
    const char* const row = static_cast<const char*>(array.data) + index * size;
    for (int64_t byte = 0; byte < channels * size; byte += kCacheLine) {
      __builtin_prefetch(row + byte, kWrite);
    }
  }

  HDETR_INLINE static void read_row(const ConstArray& array, int64_t index, int64_t channels,
                                    int64_t filled, Real* row) {
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes)
      store(row + c, read<Real, kLanes>(array, index + c));
    for (; c < channels; ++c) store(row + c, read<Real, 1>(array, index + c));
    for (; c < filled; ++c) row[c] = Real(0);
  }

  HDETR_INLINE static void write_row(const Real* row, int64_t channels, const Array& array,
                                     int64_t index) {
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes) {
      write<Real, kLanes>(array, index + c, load<Wide>(row + c));
    }
    for (; c < channels; ++c) write<Real, 1>(array, index + c, load<Pack<Real, 1>>(row + c));
  }

  HDETR_INLINE static void read_plane(const ConstArray& value, const Head& head, int64_t first,
                                      int64_t last, int64_t filled, Real* plane) {
    for (int64_t s = first; s < last; ++s, plane += filled) {
      fetch_row(value, head.cell(s + kCellsAhead), head.sizes.channels);
      read_row(value, head.cell(s), head.sizes.channels, filled, plane);
    }
  }

  // ---- sums: kPacks vectors of channels at once, from channel `c` on

  // As many vectors at once as there are registers for.
  template <class Body>
  HDETR_INLINE static void over_channels(int64_t channels, const Body& body) {
    int64_t c = 0;
    for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body(std::integral_constant<int, 4>(), c);
    for (; c + 2 * kLanes <= channels; c += 2 * kLanes) body(std::integral_constant<int, 2>(), c);
    if (c < channels) body(std::integral_constant<int, 1>(), c);
  }

  template <int kPacks>
  HDETR_INLINE static void gather(const Block& block, int64_t points, int64_t channels, int64_t c,
                                  const Real* plane, const Scratch<Real>& scratch) {
    const Offset* const offset = scratch.offset;
    const Real* const share = scratch.share;
    const int64_t n = scratch.points;
    for (int64_t q = 0; q < block.count; ++q) {
      Real* const row = scratch.rows + q * channels + c;
      Wide above[kPacks], below[kPacks];  // two sums each: an addition waits for the previous one
      for (int k = 0; k < kPacks; ++k) {
        above[k] = load<Wide>(row + k * kLanes);
        below[k] = Wide{};
      }
      for (int64_t i = q * points; i < (q + 1) * points; ++i) {
        if (offset[i] < 0) continue;
        const Real* const cells[kCorners] = {plane + offset[i] + c, plane + offset[n + i] + c,
                                             plane + offset[2 * n + i] + c,
                                             plane + offset[3 * n + i] + c};
        const Real shares[kCorners] = {share[i], share[n + i], share[2 * n + i], share[3 * n + i]};
        for (int k = 0; k < kPacks; ++k) {
          above[k] += shares[kTopLeft] * load<Wide>(cells[kTopLeft] + k * kLanes);
          below[k] += shares[kBottomLeft] * load<Wide>(cells[kBottomLeft] + k * kLanes);
          above[k] += shares[kTopRight] * load<Wide>(cells[kTopRight] + k * kLanes);
          below[k] += shares[kBottomRight] * load<Wide>(cells[kBottomRight] + k * kLanes);
        }
      }
      for (int k = 0; k < kPacks; ++k) store(row + k * kLanes, above[k] + below[k]);
    }
  }

  // Prefetches the cells of a point. Beyond the end of a block they are those of an earlier one.
  template <int kPacks>
  HDETR_INLINE static void fetch_cells(int64_t point, int64_t c, const Real* plane,
                                       const Real* grad_plane, const Scratch<Real>& scratch) {
    for (int corner = 0; corner < kCorners; ++corner) {
      const int64_t at = scratch.offset[corner * scratch.points + point] + c;
      for (int k = 0; k < kPacks; ++k) {
        __builtin_prefetch(plane + at + k * kLanes);
        __builtin_prefetch(grad_plane + at + k * kLanes, 1);
      }
    }
  }

  // Adds to the dot products of the points, and adds the points' contributions to the gradient of
  // the plane.
  template <int kPacks>
  HDETR_INLINE static void scatter(const Block& block, int64_t points, const Layout& layout,
                                   int64_t c, const Real* plane, Real* grad_plane,
                                   const Scratch<Real>& scratch) {
    const int64_t n = scratch.points;
    for (int64_t q = 0; q < block.count; ++q) {
      Wide grad[kPacks];
      for (int k = 0; k < kPacks; ++k) {
        grad[k] = load<Wide>(scratch.rows + q * layout.channels + c + k * kLanes);
      }
      for (int64_t i = q * points; i < (q + 1) * points; ++i) {
        // A copied plane is in the cache.
        if (layout.direct) fetch_cells<kPacks>(i + kPointsAhead, c, plane, grad_plane, scratch);
        if (scratch.offset[i] < 0) continue;
        Wide products[kCorners];
        for (int corner = 0; corner < kCorners; ++corner) {
          const int64_t at = scratch.offset[corner * n + i] + c;
          products[corner] = grad[0] * load<Wide>(plane + at);
          for (int k = 1; k < kPacks; ++k) {
            products[corner] += grad[k] * load<Wide>(plane + at + k * kLanes);
          }
        }
        for (int corner = 0; corner < kCorners; ++corner) {
          Real* const to = grad_plane + scratch.offset[corner * n + i] + c;
          const Real share = scratch.share[corner * n + i];
          for (int k = 0; k < kPacks; ++k) {
            store(to + k * kLanes, load<Wide>(to + k * kLanes) + share * grad[k]);
          }
        }
        Real* const dots = scratch.dots + kCorners * i;
        store(dots, load<Pack<Real, 4>>(dots) + sums_of_four<Real, kLanes>(products));
      }
    }
  }
};

}  // namespace hdetr
