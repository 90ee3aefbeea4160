// The sampling points of ms_deform_attn_cpu.h: from the arrays to the scratch memory and back, and
// their arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "array.h"
#include "ms_deform_attn.h"
#include "ms_deform_attn_cpu_scratch.h"
#include "pack.h"

namespace hdetr {

template <class Real, int kLanes>
struct PointKernels {
  using Quad = Pack<Real, 4>;
  // AVX-512 has masks of another kind, which packs of points would be converted to and fro.
  static constexpr int kPoints = std::min<int>(kLanes, 32 / sizeof(Real));
  using Points = Pack<Real, kPoints>;
  using Integers = IntegerOf<Points>;
  using Offset = typename Scratch<Real>::Offset;

  template <class Order>
  HDETR_INLINE static Quad quad(const Quad& a, const Quad& b) {
    return shuffle<Quad, Order>(a, b, std::make_integer_sequence<int, 4>());
  }

  HDETR_INLINE static void read_points(const Real* locations, const ConstArray& weights,
                                       const Head& head, const Block& block, int64_t level,
                                       const Scratch<Real>& scratch) {
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
        store(scratch.x + i, quad<Strided<0, 2>>(a, b));
        store(scratch.y + i, quad<Strided<1, 2>>(a, b));
        store(scratch.weight + i, read<Real, 4>(weights, from + p));
      }
      for (; p < points; ++p, ++i) {
        scratch.x[i] = pairs[2 * p];
        scratch.y[i] = pairs[2 * p + 1];
        store(scratch.weight + i, read<Real, 1>(weights, from + p));
      }
    }
  }

  // The gradients stand where the points stood.
  HDETR_INLINE static void write_points(const Scratch<Real>& scratch, const Head& head,
                                        const Block& block, int64_t level, Real* grad_locations,
                                        const Array& grad_weights) {
    const int64_t points = head.sizes.points;
    int64_t i = 0;
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t to = head.point(block.first + q, level);
      Real* const pairs = grad_locations + 2 * to;
      int64_t p = 0;
      for (; p + 4 <= points; p += 4, i += 4) {
        const Quad x = load<Quad>(scratch.x + i), y = load<Quad>(scratch.y + i);
        store(pairs + 2 * p, quad<Interleaved<4>::From<0>>(x, y));
        store(pairs + 2 * p + 4, quad<Interleaved<4>::From<2>>(x, y));
        write<Real, 4>(grad_weights, to + p, load<Quad>(scratch.weight + i));
      }
      for (; p < points; ++p, ++i) {
        pairs[2 * p] = scratch.x[i];
        pairs[2 * p + 1] = scratch.y[i];
        write<Real, 1>(grad_weights, to + p, load<Pack<Real, 1>>(scratch.weight + i));
      }
    }
  }

  HDETR_INLINE static void locate_points(int64_t count, const Level<Real>& level, int64_t stride,
                                         const Scratch<Real>& scratch) {
    const Offset step = static_cast<Offset>(stride);
    for (int64_t i = 0; i < count; i += kPoints) {
      const auto sample = locate(load<Points>(scratch.x + i), load<Points>(scratch.y + i), level);
      const Points weight = load<Points>(scratch.weight + i);
      const Integers first = sample.within() != 0 ? sample.cell() * step : Integers{} - 1;
      const Integers right = sample.right() * step, down = sample.down() * step;
      const Integers offsets[kCorners] = {first, first + right, first + down, first + down + right};
      for (int corner = 0; corner < kCorners; ++corner) {
        store(scratch.offset + corner * scratch.points + i, offsets[corner]);
        store(scratch.share + corner * scratch.points + i, weight * sample.share(corner));
      }
    }
  }

  // From dot products to gradients, which take the places of the points.
  HDETR_INLINE static void differentiate_points(int64_t count, const Level<Real>& level,
                                                const Scratch<Real>& scratch) {
    for (int64_t i = 0; i < count; i += kPoints) {
      const auto sample = locate(load<Points>(scratch.x + i), load<Points>(scratch.y + i), level);
      Points dots[kCorners] = {};
      for (int lane = 0; lane < kPoints; ++lane) {
        for (int corner = 0; corner < kCorners; ++corner) {
          dots[corner][lane] = scratch.dots[(i + lane) * kCorners + corner];
        }
      }
      const auto result = gradient(sample, level, load<Points>(scratch.weight + i), dots);
      store(scratch.x + i, result.x);
      store(scratch.y + i, result.y);
      store(scratch.weight + i, result.weight);
    }
  }
};

}  // namespace hdetr
