// On the host: sizes and types of a problem as template arguments, and the launches.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "cuda_launch.cuh"
#include "ms_deform_attn_cuda.cuh"

namespace hdetr::cuda {

// Calls `call(Tag<value type>, Tag<weight type>)`.
template <class Call>
cudaError_t with_types(const Problem& problem, const Call& call) {
  return with_type(problem.value, [&](auto value) {
    using T = typename decltype(value)::type;
    if (problem.value == problem.weights) return call(value, value);
    return call(value, Tag<RealFor<T>>{});
  });
}

template <int kVector, class Call>
cudaError_t with_lanes(int64_t channels, const Call& call) {
  if (channels <= kVector) return call(Team<kVector, 1>{});
  if (channels <= 2 * kVector) return call(Team<kVector, 2>{});
  if (channels <= 4 * kVector) return call(Team<kVector, 4>{});
  if (channels <= 8 * kVector) return call(Team<kVector, 8>{});
  if (channels <= 16 * kVector) return call(Team<kVector, 16>{});
  return call(Team<kVector, 32>{});
}

// Whether vectors of this many numbers of type T can be read from the addresses.
template <class T, int kVector>
bool are_aligned(std::initializer_list<const void*> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const void* tensor) {
    return reinterpret_cast<uintptr_t>(tensor) % alignof(Vector<T, kVector>) == 0;
  });
}

// Calls `call` with the team for this many channels of type T: vectors of kVector if channels and
// addresses are multiples of that, otherwise single channels, for which fewer team sizes are
// compiled.
template <class T, int kVector, class Call>
cudaError_t with_team(int64_t channels, std::initializer_list<const void*> tensors,
                      const Call& call) {
  if constexpr (kVector > 1) {
    if (channels % kVector == 0 && are_aligned<T, kVector>(tensors)) {
      return with_lanes<kVector>(channels, call);
    }
  }
  return channels <= 8 ? call(Team<1, 8>{}) : call(Team<1, 32>{});
}

template <class Real>
Layout<Real> layout_of(const Problem& problem, const LaunchShape& shape) {
  const Sizes& sizes = problem.sizes;
  Layout<Real> layout{};
  layout.batch = sizes.batch;
  layout.queries = sizes.queries;
  layout.cells = int32_t(sizes.cells);
  layout.heads = int32_t(sizes.heads);
  layout.channels = int32_t(sizes.channels);
  layout.points = int32_t(sizes.points);
  layout.samples = int32_t(sizes.levels * sizes.points);
  layout.cell_stride = uint32_t(sizes.heads * sizes.channels);
  layout.tiled = shape.tiled;
  int32_t start = 0;
  for (int64_t i = 0; i < sizes.levels; ++i) {
    const auto height = int32_t(problem.shapes[2 * i]), width = int32_t(problem.shapes[2 * i + 1]);
    layout.levels[i] = Level<Real>::make(height, width, start);
    start += height * width;
  }
  return layout;
}

inline bool has_no_pairs(const Sizes& sizes) {
  return sizes.batch == 0 || sizes.queries == 0 || sizes.heads == 0;
}

// As expected by `for_each_pair`.
template <class Team>
dim3 grid_of(const Sizes& sizes, const LaunchShape& shape) {
  const auto blocks = [&](int64_t wanted, int64_t limit) {
    return unsigned(std::min({wanted, limit, int64_t(shape.max_blocks)}));
  };
  const int64_t at_once = shape.threads / Team::kLanes;
  return dim3(blocks(sizes.heads, INT32_MAX),
              blocks((sizes.queries + at_once - 1) / at_once, UINT16_MAX),
              blocks(sizes.batch, UINT16_MAX));
}

}  // namespace hdetr::cuda
