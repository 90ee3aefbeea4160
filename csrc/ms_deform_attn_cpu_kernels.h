// The tasks of ms_deform_attn_cpu.h, for vectors of any width.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ms_deform_attn.h"
#include "ms_deform_attn_cpu.h"
#include "ms_deform_attn_cpu_channels.h"
#include "ms_deform_attn_cpu_given.h"
#include "ms_deform_attn_cpu_points.h"
#include "ms_deform_attn_cpu_scratch.h"

namespace hdetr {

// The kernels of one instruction set, with kLanes numbers per vector of channels.
template <class PointsOf, int kLanes>
struct Kernels {
  using Real = typename PointsOf::Real;
  using Source = SourceKernels<PointsOf, kLanes>;
  using Channels = ChannelKernels<Real, kLanes>;
  using Points = PointKernels<Real, kLanes>;

  HDETR_INLINE static void forward_block(const ForwardArguments<PointsOf>& arguments,
                                         const Head& head, const Block& block, const Layout& layout,
                                         const Real* plane, const Scratch<Real>& scratch) {
    const Sizes& sizes = arguments.sizes;
    std::fill(scratch.rows, scratch.rows + block.count * layout.channels, Real(0));
    for (int64_t q = 0; q < block.count; ++q) {
      Channels::fetch_row(arguments.output, head.row(block.first + q), sizes.channels);
    }
    Source::open_block(arguments.points, head, block, scratch);
    for (int64_t l = 0; l < sizes.levels; ++l) {
      const Level<Real>& level = arguments.levels[l];
      const Real* const cells = plane + level.start * layout.stride;
      Source::read_level(arguments.points, head, block, l, level, scratch);
      Points::locate_points(block.count * sizes.points, level, layout.stride, scratch);
      Channels::over_channels(layout.channels, [&](auto packs, int64_t c) HDETR_INLINE_LAMBDA {
        Channels::template gather<packs.value>(block, sizes.points, layout.channels, c, cells,
                                               scratch);
      });
    }
    for (int64_t q = 0; q < block.count; ++q) {
      Channels::write_row(scratch.rows + q * layout.channels, sizes.channels, arguments.output,
                          head.row(block.first + q));
    }
  }

  HDETR_INLINE static void forward_queries(const ForwardArguments<PointsOf>& arguments,
                                           const Head& head, int64_t first, int64_t last,
                                           const Layout& layout, const Real* plane,
                                           const Scratch<Real>& scratch) {
    const int64_t step = block_queries(arguments.sizes);
    for (int64_t q = first; q < last; q += step) {
      forward_block(arguments, head, {q, std::min(step, last - q)}, layout, plane, scratch);
    }
  }

  HDETR_INLINE static void forward(const ForwardArguments<PointsOf>& arguments, int64_t first,
                                   int64_t last, const Scratch<Real>& scratch) {
    const Sizes& sizes = arguments.sizes;
    const Layout layout = Layout::choose<Real>(sizes, arguments.value.type, kLanes);
    if (layout.direct) {
      const int64_t parts = divide_up(sizes.queries, kDirectQueries);
      for (int64_t task = first; task < last; ++task) {
        const int64_t query = task % parts * kDirectQueries;
        const int64_t end = std::min(query + kDirectQueries, sizes.queries);
        // The heads of a query sample near the same location, where their values are adjacent.
        for (int64_t m = 0; m < sizes.heads; ++m) {
          const Head head{sizes, task / parts, m};
          const auto* plane = static_cast<const Real*>(arguments.value.data) + head.cell(0);
          forward_queries(arguments, head, query, end, layout, plane, scratch);
        }
      }
      return;
    }
    const int64_t parts = divide_up(sizes.queries, kPlaneQueries);
    int64_t copied = -1;
    for (int64_t task = first; task < last; ++task) {
      const int64_t pair = task / parts, query = task % parts * kPlaneQueries;
      const Head head{sizes, pair / sizes.heads, pair % sizes.heads};
      if (pair != copied) {
        Channels::read_plane(arguments.value, head, 0, sizes.cells, layout.channels, scratch.plane);
        copied = pair;
      }
      forward_queries(arguments, head, query, std::min(query + kPlaneQueries, sizes.queries),
                      layout, scratch.plane, scratch);
    }
  }

  // Levels [first_level, last_level) of a head; planes begin with the first of their cells.
  struct Levels {
    int64_t first, last;
  };

  HDETR_INLINE static void backward_block(const BackwardArguments<PointsOf>& arguments,
                                          const Head& head, const Levels& levels,
                                          const Block& block, const Layout& layout,
                                          const Real* plane, Real* grad_plane,
                                          const Scratch<Real>& scratch) {
    const Sizes& sizes = arguments.sizes;
    for (int64_t q = 0; q < block.count; ++q) {
      Channels::fetch_row(arguments.grad_output, head.row(block.first + block.count + q),
                          sizes.channels);
      Channels::read_row(arguments.grad_output, head.row(block.first + q), sizes.channels,
                         layout.channels, scratch.rows + q * layout.channels);
    }
    const int64_t count = block.count * sizes.points;
    Source::open_block(arguments.points, head, block, scratch);
    for (int64_t l = levels.first; l < levels.last; ++l) {
      const Level<Real>& level = arguments.levels[l];
      const int64_t start = (level.start - arguments.levels[levels.first].start) * layout.stride;
      Source::read_level(arguments.points, head, block, l, level, scratch);
      Points::locate_points(count, level, layout.stride, scratch);
      std::fill(scratch.dots, scratch.dots + count * kCorners, Real(0));
      Channels::over_channels(layout.channels, [&](auto packs, int64_t c) HDETR_INLINE_LAMBDA {
        Channels::template scatter<packs.value>(block, sizes.points, layout, c, plane + start,
                                                grad_plane + start, scratch);
      });
      Points::differentiate_points(count, level, scratch);
      Source::write_level(arguments.gradients, arguments.points, head, block, l, level, scratch);
    }
  }

  HDETR_INLINE static void backward_levels(const BackwardArguments<PointsOf>& arguments,
                                           const Head& head, const Levels& levels,
                                           const Layout& layout, const Scratch<Real>& scratch) {
    const Sizes& sizes = arguments.sizes;
    const Level<Real>& end = arguments.levels[levels.last - 1];
    const int64_t first = arguments.levels[levels.first].start;
    const int64_t last = end.start + int64_t(end.height) * end.width;
    const Real* plane = scratch.plane;
    Real* grad_plane = scratch.plane + (last - first) * layout.channels;
    if (layout.direct) {
      plane = static_cast<const Real*>(arguments.value.data) + head.cell(first);
      grad_plane = static_cast<Real*>(arguments.grad_value.data) + head.cell(first);
    } else {
      Channels::read_plane(arguments.value, head, first, last, layout.channels, scratch.plane);
      std::fill(grad_plane, grad_plane + (last - first) * layout.channels, Real(0));
    }
    const int64_t step = block_queries(sizes);
    for (int64_t q = 0; q < sizes.queries; q += step) {
      backward_block(arguments, head, levels, {q, std::min(step, sizes.queries - q)}, layout, plane,
                     grad_plane, scratch);
    }
    if (layout.direct) return;
    for (int64_t s = first; s < last; ++s) {
      Channels::fetch_row(arguments.grad_value, head.cell(s + kCellsAhead), sizes.channels);
      Channels::write_row(grad_plane + (s - first) * layout.channels, sizes.channels,
                          arguments.grad_value, head.cell(s));
    }
  }

  HDETR_INLINE static void backward(const BackwardArguments<PointsOf>& arguments, int64_t first,
                                    int64_t last, const Scratch<Real>& scratch) {
    const Sizes& sizes = arguments.sizes;
    const Layout layout = Layout::choose<Real>(sizes, arguments.value.type, kLanes);
    // A task is one level of a head; consecutive tasks of a head are processed together.
    for (int64_t task = first; task < last;) {
      const int64_t pair = task / sizes.levels, level = task % sizes.levels;
      const Levels levels{level, std::min(sizes.levels, level + last - task)};
      const Head head{sizes, pair / sizes.heads, pair % sizes.heads};
      backward_levels(arguments, head, levels, layout, scratch);
      task += levels.last - levels.first;
    }
  }
};

}  // namespace hdetr
