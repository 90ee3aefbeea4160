// Given sampling points: from the arrays to the scratch memory and back.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn_cpu.h"
#include "ms_deform_attn_cpu_points.h"
#include "ms_deform_attn_cpu_scratch.h"
#include "pack.h"

namespace hdetr {

// The interface of a kind of points: `open_block` runs before the levels of a block, `read_level`
// before and `write_level` after the sums of one level.
template <class PointsOf, int kLanes>
struct SourceKernels;

template <class Real, int kLanes>
struct SourceKernels<GivenPoints<Real>, kLanes> {
  using Points = PointKernels<Real, kLanes>;
  using Quad = typename Points::Quad;
  using Gradients = typename GivenPoints<Real>::Gradients;

  static int64_t kept(const Sizes&) { return 0; }  // numbers kept per query, from `open_block` on

  HDETR_INLINE static void open_block(const GivenPoints<Real>&, const Head&, const Block&,
                                      const Scratch<Real>&) {}

  HDETR_INLINE static void read_level(const GivenPoints<Real>& given, const Head& head,
                                      const Block& block, int64_t level, const Level<Real>&,
                                      const Scratch<Real>& scratch) {
    const auto& [locations, weights] = given;
    const int64_t points = head.sizes.points;
    int64_t i = 0;
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t from = head.point(block.first + q, level);
      const Real* const pairs = locations + 2 * from;
      const int64_t next = head.point(block.first + block.count + q, level);
      __builtin_prefetch(locations + 2 * next);
      __builtin_prefetch(static_cast<const char*>(weights.data) +
                         next * element_size(weights.type));
      int64_t p = 0;
      for (; p + 4 <= points; p += 4, i += 4) {
        const Quad a = load<Quad>(pairs + 2 * p), b = load<Quad>(pairs + 2 * p + 4);
        store(scratch.x + i, Points::first_of_pairs(a, b));
        store(scratch.y + i, Points::second_of_pairs(a, b));
        store(scratch.weight + i, read<Real, 4>(weights, from + p));
      }
      for (; p < points; ++p, ++i) {
        scratch.x[i] = pairs[2 * p];
        scratch.y[i] = pairs[2 * p + 1];
        store(scratch.weight + i, read<Real, 1>(weights, from + p));
      }
    }
  }

  // The gradients replace the points.
  HDETR_INLINE static void write_level(const Gradients& gradients, const GivenPoints<Real>&,
                                       const Head& head, const Block& block, int64_t level,
                                       const Level<Real>&, const Scratch<Real>& scratch) {
    const auto& [grad_locations, grad_weights] = gradients;
    const int64_t points = head.sizes.points;
    int64_t i = 0;
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t to = head.point(block.first + q, level);
      Real* const pairs = grad_locations + 2 * to;
      int64_t p = 0;
      for (; p + 4 <= points; p += 4, i += 4) {
        const Quad x = load<Quad>(scratch.x + i), y = load<Quad>(scratch.y + i);
        store(pairs + 2 * p, Points::first_pairs(x, y));
        store(pairs + 2 * p + 4, Points::last_pairs(x, y));
        write<Real, 4>(grad_weights, to + p, load<Quad>(scratch.weight + i));
      }
      for (; p < points; ++p, ++i) {
        pairs[2 * p] = scratch.x[i];
        pairs[2 * p + 1] = scratch.y[i];
        write<Real, 1>(grad_weights, to + p, load<Pack<Real, 1>>(scratch.weight + i));
      }
    }
  }
};

}  // namespace hdetr
