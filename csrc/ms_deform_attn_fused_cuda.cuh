// Samples from the rows of queries on CUDA: what a team does before, while and after it processes
// the samples of its pair.
#pragma once

#include "ms_deform_attn_cuda.cuh"
#include "ms_deform_attn_fused.h"

namespace hdetr::cuda {

// The sum over the lanes of a team, returned to all of them.
template <class Team, class Real>
__device__ __forceinline__ Real sum_of_team(Real number) {
#pragma unroll
  for (int step = 1; step < Team::kLanes; step *= 2) {
    number += __shfl_xor_sync(kAllLanes, number, step);
  }
  return number;
}

template <class Team, class Real>
__device__ __forceinline__ Real largest_of_team(Real number) {
#pragma unroll
  for (int step = 1; step < Team::kLanes; step *= 2) {
    const Real other = __shfl_xor_sync(kAllLanes, number, step);
    number = other > number ? other : number;
  }
  return number;
}

template <class Real_, class Row_>
struct RowSamples {
  using Real = Real_;
  using Row = Row_;
  static constexpr bool kOfSoftmax = true;
  struct Gradients {
    Row* rows;
    Real* weights;        // with respect to the softmax: [M, L * P] per query
    int64_t weights_row;  // from a query to the next one
    Real* locations;      // [B, Q, M, L, P, 2]; null if the gradient of the reference is not needed
  };
  struct OfPair {
    Real largest, share;  // of the logits; the reciprocal of the softmax's denominator
    Real mean;  // in the backward: weighted mean of the gradients with respect to the weights
  };

  const Real* reference;  // [B, Q, L, 2 or 4]
  const Row* rows;        // [B, Q, 3 * M * L * P]
  bool boxes;
  int32_t levels;
  RowLayout row;

  __device__ __forceinline__ Real logit(const Pair& pair, int32_t index) const {
    return to_real(__ldg(rows + row.logit(pair.query, pair.head, index)));
  }
  __device__ __forceinline__ Real weight(const Pair& pair, const OfPair& of_pair,
                                         int32_t index) const {
    return softmax_term(logit(pair, index), of_pair.largest) * of_pair.share;
  }
  __device__ __forceinline__ Origin<Real> origin(const Layout<Real>& layout, const Pair& pair,
                                                 int32_t level) const {
    const int64_t at = (pair.query * levels + level) * (boxes ? 4 : 2);
    return Origin<Real>::of(reference + at, boxes, layout.levels[level],
                            part_of_box<Real>(layout.points));
  }

  // Called by every lane of the warp.
  template <class Team>
  __device__ __forceinline__ OfPair open(const Layout<Real>& layout, const Pair& pair) const {
    const int32_t end = pair.exists ? layout.samples : 0;
    Real largest = -Real(INFINITY), sum = 0;
    for (int32_t i = Team::lane(); i < end; i += Team::kLanes) {
      const Real number = logit(pair, i);
      largest = number > largest ? number : largest;
    }
    largest = largest_of_team<Team>(largest);
    for (int32_t i = Team::lane(); i < end; i += Team::kLanes) {
      sum += softmax_term(logit(pair, i), largest);
    }
    return {largest, Real(1) / sum_of_team<Team>(sum), Real(0)};
  }

  __device__ __forceinline__ Located<Real> locate(const Layout<Real>& layout, const Pair& pair,
                                                  const OfPair& of_pair, int32_t index) const {
    Located<Real> located{};
    if (!pair.exists || index >= layout.samples) return located;
    located.level = uint32_t(index) / uint32_t(layout.points);
    located.weight = weight(pair, of_pair, index);
    const Origin<Real> from = origin(layout, pair, located.level);
    const Row* const offset = rows + row.offset(pair.query, pair.head, index);
    located.sample =
        hdetr::locate(from.x_of(to_real(__ldg(offset))), from.y_of(to_real(__ldg(offset + 1))),
                      layout.levels[located.level]);
    located.within = located.sample.within();
    return located;
  }

  // For the sample that a lane owns. The gradient of its weight is converted to that of its logit
  // later, because a logit affects all weights.
  __device__ __forceinline__ void write(const Layout<Real>& layout, const Pair& pair,
                                        OfPair& of_pair, const Located<Real>& located,
                                        const SampleGradient<Real>& by, int32_t index,
                                        const Gradients& gradients) const {
    const Origin<Real> from = origin(layout, pair, located.level);
    Row* const offset = gradients.rows + row.offset(pair.query, pair.head, index);
    assign(offset[0], by.x * from.unit_x);
    assign(offset[1], by.y * from.unit_y);
    gradients.weights[in_weights(pair, index, gradients)] = by.weight;
    of_pair.mean += located.weight * by.weight;
    if (gradients.locations == nullptr) return;
    const int64_t at = pair.index * layout.samples + index;
    gradients.locations[2 * at] = by.x;
    gradients.locations[2 * at + 1] = by.y;
  }

  // Called by every lane of the warp; each completes what it has written itself.
  template <class Team>
  __device__ __forceinline__ void close(const Layout<Real>& layout, const Pair& pair,
                                        const OfPair& of_pair, const Gradients& gradients) const {
    const Real mean = sum_of_team<Team>(of_pair.mean);
    const int32_t end = pair.exists && Team::lane() < Team::kRound ? layout.samples : 0;
    for (int32_t i = Team::lane(); i < end; i += Team::kRound) {
      const Real by_weight = gradients.weights[in_weights(pair, i, gradients)];
      assign(gradients.rows[row.logit(pair.query, pair.head, i)],
             logit_gradient(weight(pair, of_pair, i), by_weight, mean));
    }
  }

 private:
  __device__ __forceinline__ int64_t in_weights(const Pair& pair, int32_t index,
                                                const Gradients& gradients) const {
    return pair.query * gradients.weights_row + pair.head * row.samples + index;
  }
};

// The gradient of the reference: one thread per query and level, always in the same order.
template <class Samples>
__global__ void __launch_bounds__(kMaxBackwardThreads)
    differentiate_reference(const __grid_constant__ Samples samples, int64_t count, int32_t heads,
                            int32_t points, const typename Samples::Real* __restrict__ by_locations,
                            typename Samples::Real* __restrict__ result) {
  using Real = typename Samples::Real;
  const Real part = part_of_box<Real>(points);
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t query = i / samples.levels, first = i % samples.levels * points;
    Real sums[4] = {};
    for (int32_t head = 0; head < heads; ++head) {
      const Real* by = by_locations + 2 * ((query * heads + head) * samples.row.samples + first);
      const auto* offset = samples.rows + samples.row.offset(query, head, first);
      for (int32_t p = 0; p < points; ++p, by += 2, offset += 2) {
        sums[0] += by[0];
        sums[1] += by[1];
        if (!samples.boxes) continue;
        sums[2] += by[0] * (to_real(offset[0]) * part);
        sums[3] += by[1] * (to_real(offset[1]) * part);
      }
    }
    const int numbers = samples.boxes ? 4 : 2;
    for (int n = 0; n < numbers; ++n) result[i * numbers + n] = sums[n];
  }
}

}  // namespace hdetr::cuda
