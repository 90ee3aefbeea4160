// The backward kernel. Gradients of samples belong to a single pair; the gradient of the value is
// scattered over its cells.
#pragma once

#include "ms_deform_attn_cuda.cuh"
#include "ms_deform_attn_cuda_sums.cuh"

namespace hdetr::cuda {

// The products of the output's gradient with the values of a sample's corners.
template <class Real>
struct Dots {
  Real of[kCorners];
};

// Calls `dots_of(i)` for kCount samples from `first` on, and sums, over kCount neighbouring lanes,
// what each computes for its own channels. Lane l receives the sums of sample first + l % kCount:
// at every step a lane passes on the half of the samples that is not its own, which takes fewer
// shuffles than one sum after the other.
template <int kCount, class DotsOf>
__device__ __forceinline__ auto exchange(int lane, int first, const DotsOf& dots_of) {
  if constexpr (kCount == 1) {
    return dots_of(first);
  } else {
    constexpr int kHalf = kCount / 2;
    const auto low = exchange<kHalf>(lane, first, dots_of);
    const auto high = exchange<kHalf>(lane, first + kHalf, dots_of);
    auto mine = low;
#pragma unroll
    for (int i = 0; i < kCorners; ++i) {
      const bool keeps_high = lane & kHalf;
      const auto given = keeps_high ? low.of[i] : high.of[i];
      mine.of[i] = (keeps_high ? high.of[i] : low.of[i]) + __shfl_xor_sync(kAllLanes, given, kHalf);
    }
    return mine;
  }
}

// The dots of the samples of a round: lane l of the team receives those of sample l % kRound.
template <class Team, class DotsOf>
__device__ __forceinline__ auto dots_of_round(const DotsOf& dots_of) {
  auto dots = exchange<Team::kRound>(Team::lane(), 0, dots_of);
#pragma unroll
  for (int step = Team::kRound; step < Team::kLanes; step *= 2) {
#pragma unroll
    for (int i = 0; i < kCorners; ++i) dots.of[i] += __shfl_xor_sync(kAllLanes, dots.of[i], step);
  }
  return dots;
}

template <class T, class Real, int kVector>
__device__ __forceinline__ void add_dots(const Real (&gradient)[kVector],
                                         const Vector<T, kVector> (&values)[kCorners],
                                         Dots<Real>& dots) {
#pragma unroll
  for (int corner = 0; corner < kCorners; ++corner) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      dots.of[corner] += gradient[i] * to_real(values[corner].items[i]);
    }
  }
}

template <class Real>
__device__ __forceinline__ SampleGradient<Real> gradient_of(const Layout<Real>& layout,
                                                            const Located<Real>& located,
                                                            const Dots<Real>& dots) {
  if (!located.within) return {};
  return gradient(located.sample, layout.levels[located.level], located.weight, dots.of);
}

// Adds every corner of a sample separately.
template <class Team_, class Sums_>
struct Direct {
  using Team = Team_;
  using Sums = Sums_;
  using Item = typename Sums::Item;
  using Real = typename Sums::Real;
  struct Shared {};
  static constexpr bool kAtOnce = true;

  const Layout<Real>& layout;
  const Sums& sums;
  Shared& shared;

  __device__ __forceinline__ void open() const {}

  // `grad_value` points to a lane's first channel in the image's first cell.
  __device__ __forceinline__ void add_sample(const Corners<Real>& corners,
                                             const Real (&gradient)[Team::kVector],
                                             Item* grad_value) const {
#pragma unroll
    for (int corner = 0; corner < kCorners; ++corner) {
      // A corner without weight is usually outside.
      if (corners.shares[corner] == Real(0)) continue;
      Item items[Team::kVector];
#pragma unroll
      for (int i = 0; i < Team::kVector; ++i) {
        items[i] = sums.item_of(corners.shares[corner] * gradient[i]);
      }
      sums.add(layout.in_cell(grad_value, corners.cell_of(corner)), items);
    }
  }
};

// `Scatter` is Direct or Sorted.
template <class T, class Samples, class Scatter>
__global__ void __launch_bounds__(kMaxBackwardThreads, sizeof(T) < 8 ? 3 : 2)
    backward(const __grid_constant__ Layout<RealFor<T>> layout, const T* __restrict__ grad_output,
             const T* __restrict__ value, const __grid_constant__ Samples samples,
             typename Scatter::Sums sums,
             const __grid_constant__ typename Samples::Gradients gradients) {
  using Real = RealFor<T>;
  using Team = typename Scatter::Team;
  constexpr int kVector = Team::kVector;
  __shared__ typename Scatter::Shared shared;
  const Scatter scatter{layout, sums, shared};
  sums.open();
  scatter.open();
  for_each_pair<Team>(layout, [&](const Pair& pair) {
    const T* const grad_head = grad_output + pair.index * layout.channels;
    const int32_t own_channel = Team::lane() * kVector;
    const int32_t end = pair.exists ? layout.channels : 0;
    // Lanes of a whole warp, which may loop over the channels, have no registers to keep a vector.
    constexpr bool kKept = Team::kLanes < kWarp || kVector == 1;
    Real own_gradient[kVector] = {};
    if (kKept && own_channel < end) load_to(own_gradient, grad_head + own_channel);
    auto of_pair = samples.template open<Team>(layout, pair);

    for (int32_t round = 0; round < layout.samples; round += Team::kRound) {
      const int32_t own_sample = round + Team::lane();
      const Located<Real> located = samples.locate(layout, pair, of_pair, own_sample);
      const Corners<Real> mine = Corners<Real>::of(layout, located);
      sums.note(located);

      const Dots<Real> dots = dots_of_round<Team>([&](int i) {
        const Corners<Real> corners = mine.template of_lane<Team>(i);
        Dots<Real> partial{};
        if (!corners.exist()) return partial;
        for (int32_t channel = own_channel; channel < end; channel += Team::kChannels) {
          Real gradient[kVector];
#pragma unroll
          for (int j = 0; j < kVector; ++j) gradient[j] = own_gradient[j];
          if (!kKept || channel > own_channel) load_to(gradient, grad_head + channel);
          Vector<T, kVector> values[kCorners];
          load_corners(layout, corners, value + pair.in_value + channel, values);
          // Nothing waits for these additions, which proceed while the values are loaded.
          if constexpr (Scatter::kAtOnce) {
            scatter.add_sample(corners, gradient, sums.items + pair.in_value + channel);
          }
          add_dots(gradient, values, partial);
          if (Team::kLanes < kWarp) break;  // smaller teams have a lane for every channel
        }
        return partial;
      });

      if (pair.exists && Team::lane() < Team::kRound && own_sample < layout.samples) {
        samples.write(layout, pair, of_pair, located, gradient_of(layout, located, dots),
                      own_sample, gradients);
      }
      if constexpr (!Scatter::kAtOnce) {
        scatter.add_round(mine, own_gradient, sums.items + pair.in_value);
      }
    }
    samples.template close<Team>(layout, pair, of_pair, gradients);
  });
}

}  // namespace hdetr::cuda
