// The arithmetic of the sampling points of ms_deform_attn_cpu.h in scratch memory.
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
  // AVX-512 has another kind of masks, to and from which packs of points would be converted.
  static constexpr int kPoints = std::min<int>(kLanes, 32 / sizeof(Real));
  using Points = Pack<Real, kPoints>;
  using Integers = IntegerOf<Points>;
  using Offset = typename Scratch<Real>::Offset;

  template <class Order>
  HDETR_INLINE static Quad quad(const Quad& a, const Quad& b) {
    return shuffle<Quad, Order>(a, b, std::make_integer_sequence<int, 4>());
  }
  // Converts four points from pairs (x, y) and back.
  HDETR_INLINE static Quad first_of_pairs(const Quad& a, const Quad& b) {
    return quad<Strided<0, 2>>(a, b);
  }
  HDETR_INLINE static Quad second_of_pairs(const Quad& a, const Quad& b) {
    return quad<Strided<1, 2>>(a, b);
  }
  HDETR_INLINE static Quad first_pairs(const Quad& x, const Quad& y) {
    return quad<Interleaved<4>::From<0>>(x, y);
  }
  HDETR_INLINE static Quad last_pairs(const Quad& x, const Quad& y) {
    return quad<Interleaved<4>::From<2>>(x, y);
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

  // One corner's number of each of the points from `dots` on.
  template <int... kLane>
  HDETR_INLINE static Points every_corner(const Real* dots, std::integer_sequence<int, kLane...>) {
    return Points{dots[kLane * kCorners]...};
  }

  // Converts dot products to gradients, which replace the points.
  HDETR_INLINE static void differentiate_points(int64_t count, const Level<Real>& level,
                                                const Scratch<Real>& scratch) {
    for (int64_t i = 0; i < count; i += kPoints) {
      const auto sample = locate(load<Points>(scratch.x + i), load<Points>(scratch.y + i), level);
      const Real* const from = scratch.dots + i * kCorners;
      constexpr std::make_integer_sequence<int, kPoints> lanes;
      const Points dots[kCorners] = {every_corner(from, lanes), every_corner(from + 1, lanes),
                                     every_corner(from + 2, lanes), every_corner(from + 3, lanes)};
      const auto result = gradient(sample, level, load<Points>(scratch.weight + i), dots);
      store(scratch.x + i, result.x);
      store(scratch.y + i, result.y);
      store(scratch.weight + i, result.weight);
    }
  }
};

}  // namespace hdetr
