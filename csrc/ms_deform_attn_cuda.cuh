// Common parts of the forward and backward kernels: distribution of the work, and sharing of
// located samples among lanes.
//
// A pair of a query and a head is processed by a team of 1 to 32 lanes of a warp. Each lane owns a
// vector of channels, which it loads with one instruction; each of the first lanes locates one
// sample of a round, and shares it with the others by warp shuffles. All lanes of a warp take part
// in every shuffle, including those without a channel or a query.
#pragma once

#include <type_traits>

#include "cuda_number.cuh"
#include "cuda_warp.cuh"
#include "ms_deform_attn.h"
#include "ms_deform_attn_cuda.h"

namespace hdetr::cuda {

// ---- distribution of the work

template <int kVectorSize, int kLaneCount>
struct Team {
  static constexpr int kVector = kVectorSize;  // channels that a lane loads at once
  static constexpr int kLanes = kLaneCount;
  static constexpr int kChannels = kVector * kLanes;
  // Samples located at a time. More than 8 would only lengthen the unrolled loops.
  static constexpr int kRound = kLanes < 8 ? kLanes : 8;

  static __device__ __forceinline__ int lane() { return threadIdx.x % kLanes; }
};

// A single instruction. For the C++ expression the compiler generates a 64 x 64 bit product, which
// is noticeable with four per sample.
__device__ __forceinline__ uint64_t wide_product(uint32_t a, uint32_t b) {
#if defined(__CUDACC__)
  uint64_t product;
  asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(a), "r"(b));
  return product;
#else
  return uint64_t(a) * b;
#endif
}

// The sizes of a problem, as a parameter of the kernels.
template <class Real>
struct Layout {
  int64_t batch, queries;
  int32_t cells, heads, channels, points;
  int32_t samples;       // per pair: levels * points
  uint32_t cell_stride;  // from a cell to the next: heads * channels
  bool tiled;
  Level<Real> levels[kMaxLevels];

  // `first_cell` points into the first cell of an image.
  template <class T>
  __device__ __forceinline__ T* in_cell(T* first_cell, uint32_t cell) const {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return reinterpret_cast<T*>(reinterpret_cast<Byte*>(first_cell) +
                                wide_product(cell, cell_stride * uint32_t(sizeof(T))));
  }

  __device__ __forceinline__ int64_t query_at(int64_t place) const;
};

// In bands of eight rows, column by column: the queries of a block are then neighbours in both
// directions, and find their common cells in the L1 cache.
template <class Real>
__device__ __forceinline__ int64_t Layout<Real>::query_at(int64_t place) const {
  if (!tiled) return place;
  int i = 0;
  while (place >= int64_t(levels[i].start) + levels[i].height * levels[i].width) ++i;
  const uint32_t start = levels[i].start, height = levels[i].height, width = levels[i].width;
  const uint32_t band = min(8u, height);
  const uint32_t within = uint32_t(place) - start;
  const uint32_t first_row = within / (band * width) * band;
  const uint32_t rows = min(band, height - first_row);
  const uint32_t within_band = within - first_row * width;
  const uint32_t column = within_band / rows;
  const uint32_t row = first_row + within_band - column * rows;
  return start + row * width + column;
}

// The pair of a query and a head that a team processes.
struct Pair {
  int64_t query;     // among all B * Q
  int64_t head;      // among M
  int64_t index;     // among all B * Q * M pairs
  int64_t in_value;  // first element of the head in the image's first cell
  bool exists;       // false beyond the last query: the lanes only take part in shuffles
};

// Calls `body(pair)` for all pairs of this thread. Blocks in x are heads, in y some neighbouring
// queries, in z images; dimensions larger than the grid are covered by strides.
template <class Team, class Real, class Body>
__device__ __forceinline__ void for_each_pair(const Layout<Real>& layout, const Body& body) {
  const int32_t at_once = blockDim.x / Team::kLanes;
  for (int64_t image = blockIdx.z; image < layout.batch; image += gridDim.z) {
    const int64_t step = int64_t(gridDim.y) * at_once;
    for (int64_t first = int64_t(blockIdx.y) * at_once; first < layout.queries; first += step) {
      const int64_t place = first + threadIdx.x / Team::kLanes;
      const bool exists = place < layout.queries;
      const int64_t query = image * layout.queries + (exists ? layout.query_at(place) : 0);
      const int64_t cell = image * layout.cells;
      for (int64_t head = blockIdx.x; head < layout.heads; head += gridDim.x) {
        body(Pair{query, head, query * layout.heads + head,
                  (cell * layout.heads + head) * layout.channels, exists});
      }
    }
  }
}

// ---- samples

// A sample as located by its owner.
template <class Real>
struct Located {
  Sample<Real> sample;
  Real weight;
  int32_t level;
  bool within;  // false: nothing is sampled
};

// Given locations and weights of samples. Another kind, computed from other arrays, is in
// ms_deform_attn_fused_cuda.cuh.
template <class Real_, class Weight_>
struct GivenSamples {
  using Real = Real_;
  using Weight = Weight_;
  static constexpr bool kOfSoftmax = false;  // the weights of a pair sum to 1
  struct Gradients {
    Real* locations;
    Weight* weights;
  };
  struct OfPair {};  // state of a team about its pair, before and while it locates the samples

  const Real* locations;  // [B, Q, M, L, P, 2]
  const Weight* weights;  // [B, Q, M, L, P]

  template <class Team>
  __device__ __forceinline__ OfPair open(const Layout<Real>&, const Pair&) const {
    return {};
  }

  __device__ __forceinline__ Located<Real> locate(const Layout<Real>& layout, const Pair& pair,
                                                  const OfPair&, int32_t index) const {
    Located<Real> located{};
    if (!pair.exists || index >= layout.samples) return located;
    const int64_t at = pair.index * layout.samples + index;
    located.level = uint32_t(index) / uint32_t(layout.points);
    located.weight = to_real(__ldg(weights + at));
    located.sample = hdetr::locate(__ldg(locations + 2 * at), __ldg(locations + 2 * at + 1),
                                   layout.levels[located.level]);
    located.within = located.sample.within();
    return located;
  }

  // For the sample that a lane owns.
  __device__ __forceinline__ void write(const Layout<Real>& layout, const Pair& pair, OfPair&,
                                        const Located<Real>&, const SampleGradient<Real>& by,
                                        int32_t index, const Gradients& gradients) const {
    const int64_t at = pair.index * layout.samples + index;
    gradients.locations[2 * at] = by.x;
    gradients.locations[2 * at + 1] = by.y;
    assign(gradients.weights[at], by.weight);
  }

  // After the last sample; called by every lane of the warp.
  template <class Team>
  __device__ __forceinline__ void close(const Layout<Real>&, const Pair&, const OfPair&,
                                        const Gradients&) const {}
};

// What all lanes of a team need about a sample: its corners and their weights.
template <class Real>
struct Corners {
  int32_t cell;   // the top left one, among the image's S cells; negative: nothing is sampled
  int32_t steps;  // to the right and, in all but the last bit, down
  Real shares[kCorners];  // times the attention weight

  static __device__ __forceinline__ Corners of(const Layout<Real>& layout,
                                               const Located<Real>& located) {
    const Sample<Real>& sample = located.sample;
    Corners corners{-1, 0, {}};
    if (!located.within) return corners;
    corners.cell = layout.levels[located.level].start + sample.cell();
    corners.steps = 2 * sample.down() + sample.right();
#pragma unroll
    for (int i = 0; i < kCorners; ++i) corners.shares[i] = sample.share(i) * located.weight;
    return corners;
  }

  // Those held by a lane of the same team.
  template <class Team>
  __device__ __forceinline__ Corners of_lane(int lane) const {
    Corners corners = *this;
    if constexpr (Team::kLanes > 1) {
      corners.cell = __shfl_sync(kAllLanes, cell, lane, Team::kLanes);
      corners.steps = __shfl_sync(kAllLanes, steps, lane, Team::kLanes);
#pragma unroll
      for (int i = 0; i < kCorners; ++i) {
        corners.shares[i] = __shfl_sync(kAllLanes, shares[i], lane, Team::kLanes);
      }
    }
    return corners;
  }

  __device__ __forceinline__ bool exist() const { return cell >= 0; }

  __device__ __forceinline__ uint32_t cell_of(int corner) const {
    const int32_t right = corner == kTopRight || corner == kBottomRight ? steps & 1 : 0;
    const int32_t down = corner >= kBottomLeft ? steps >> 1 : 0;
    return cell + right + down;
  }
};

// A lane's vector of channels in each corner of a sample.
template <class T, class Real, int kVector>
__device__ __forceinline__ void load_corners(const Layout<Real>& layout,
                                             const Corners<Real>& corners, const T* value,
                                             Vector<T, kVector> (&values)[kCorners]) {
#pragma unroll
  for (int corner = 0; corner < kCorners; ++corner) {
    values[corner] = load<kVector>(layout.in_cell(value, corners.cell_of(corner)));
  }
}

}  // namespace hdetr::cuda
