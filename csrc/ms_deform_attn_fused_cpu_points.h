// Sampling points from the rows of queries: from the arrays to the scratch memory and back.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn_cpu_given.h"
#include "ms_deform_attn_cpu_points.h"
#include "ms_deform_attn_cpu_scratch.h"
#include "ms_deform_attn_fused_cpu.h"
#include "ms_deform_attn_fused_cpu_softmax.h"
#include "pack.h"

namespace hdetr {

template <class Real, int kLanes>
struct SourceKernels<RowPoints<Real>, kLanes> {
  using Points = PointKernels<Real, kLanes>;
  using Softmax = SoftmaxKernels<Real, kLanes>;
  using Quad = typename Points::Quad;
  using One = Pack<Real, 1>;
  using Gradients = typename RowPoints<Real>::Gradients;

  static int64_t kept(const Sizes& sizes) { return filled_samples(sizes); }

  // The index of query `q` of a block among those of all images.
  HDETR_INLINE static int64_t query_of(const Head& head, const Block& block, int64_t q) {
    return head.image * head.sizes.queries + block.first + q;
  }

  HDETR_INLINE static Origin<Real> origin(const RowPoints<Real>& points, const Head& head,
                                          int64_t query, int64_t l, const Level<Real>& level) {
    const int64_t at = (query * head.sizes.levels + l) * points.numbers();
    const Real part = part_of_box<Real>(head.sizes.points);
    return Origin<Real>::of(points.reference + at, points.boxes, level, part);
  }

  HDETR_INLINE static void open_block(const RowPoints<Real>& points, const Head& head,
                                      const Block& block, const Scratch<Real>& scratch) {
    const RowLayout row = RowLayout::of(head.sizes);
    const int64_t size = element_size(points.rows.type);
    const char* const rows = static_cast<const char*>(points.rows.data);
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t query = query_of(head, block, q), next = query + block.count;
      __builtin_prefetch(rows + size * row.logit(next, head.head, 0));
      __builtin_prefetch(rows + size * row.offset(next, head.head, 0));
      Softmax::softmax(points.rows, row.logit(query, head.head, 0), row.samples,
                       scratch.kept_rows + q * scratch.kept_numbers);
    }
  }

  HDETR_INLINE static void read_level(const RowPoints<Real>& points, const Head& head,
                                      const Block& block, int64_t l, const Level<Real>& level,
                                      const Scratch<Real>& scratch) {
    const RowLayout row = RowLayout::of(head.sizes);
    const int64_t count = head.sizes.points;
    int64_t i = 0;
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t query = query_of(head, block, q);
      const Origin<Real> from = origin(points, head, query, l, level);
      const int64_t at = row.offset(query, head.head, l * count);
      const Real* const weights = scratch.kept_rows + q * scratch.kept_numbers + l * count;
      int64_t p = 0;
      for (; p + 4 <= count; p += 4, i += 4) {
        const Quad a = read<Real, 4>(points.rows, at + 2 * p);
        const Quad b = read<Real, 4>(points.rows, at + 2 * p + 4);
        store(scratch.x + i, from.x_of(Points::first_of_pairs(a, b)));
        store(scratch.y + i, from.y_of(Points::second_of_pairs(a, b)));
        store(scratch.weight + i, load<Quad>(weights + p));
      }
      for (; p < count; ++p, ++i) {
        scratch.x[i] = from.x_of(read<Real, 1>(points.rows, at + 2 * p)[0]);
        scratch.y[i] = from.y_of(read<Real, 1>(points.rows, at + 2 * p + 1)[0]);
        scratch.weight[i] = weights[p];
      }
    }
  }

  // The gradients replace the points. Those with respect to weights are converted to logits later,
  // because a logit affects the weights of all levels.
  HDETR_INLINE static void write_level(const Gradients& gradients, const RowPoints<Real>& points,
                                       const Head& head, const Block& block, int64_t l,
                                       const Level<Real>& level, const Scratch<Real>& scratch) {
    const RowLayout row = RowLayout::of(head.sizes);
    const int64_t count = head.sizes.points;
    int64_t i = 0;
    for (int64_t q = 0; q < block.count; ++q) {
      const int64_t query = query_of(head, block, q), sample = l * count;
      const Origin<Real> from = origin(points, head, query, l, level);
      const int64_t to = row.offset(query, head.head, sample);
      Real* const weights =
          gradients.weights + query * gradients.weights_row + head.head * row.samples + sample;
      if (gradients.locations) {
        const int64_t pair = (query * head.sizes.heads + head.head) * row.samples + sample;
        for (int64_t p = 0; p < count; ++p) {
          gradients.locations[2 * (pair + p)] = scratch.x[i + p];
          gradients.locations[2 * (pair + p) + 1] = scratch.y[i + p];
        }
      }
      int64_t p = 0;
      for (; p + 4 <= count; p += 4, i += 4) {
        const Quad x = load<Quad>(scratch.x + i) * from.unit_x;
        const Quad y = load<Quad>(scratch.y + i) * from.unit_y;
        write<Real, 4>(gradients.rows, to + 2 * p, Points::first_pairs(x, y));
        write<Real, 4>(gradients.rows, to + 2 * p + 4, Points::last_pairs(x, y));
        store(weights + p, load<Quad>(scratch.weight + i));
      }
      for (; p < count; ++p, ++i) {
        write<Real, 1>(gradients.rows, to + 2 * p, One{scratch.x[i] * from.unit_x});
        write<Real, 1>(gradients.rows, to + 2 * p + 1, One{scratch.y[i] * from.unit_y});
        weights[p] = scratch.weight[i];
      }
    }
  }
};

}  // namespace hdetr
