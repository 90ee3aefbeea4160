// The forward kernel and its launch.
#pragma once

#include "ms_deform_attn_cuda.cuh"
#include "ms_deform_attn_cuda_launch.cuh"

namespace hdetr::cuda {

// Adds the four corners of a sample to the sums of a lane's channels.
template <int kVector, class T, class Real>
__device__ __forceinline__ void add_sample(const Layout<Real>& layout, const Corners<Real>& corners,
                                           const T* value, Real (&sums)[kVector]) {
  Vector<T, kVector> values[kCorners];
  load_corners(layout, corners, value, values);
#pragma unroll
  for (int corner = 0; corner < kCorners; ++corner) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      sums[i] += corners.shares[corner] * to_real(values[corner].items[i]);
    }
  }
}

// With two blocks per multiprocessor, a thread has enough registers to load all corners of a sample
// at once; with three it waits for the first before it loads the others.
template <class T, class Samples, class Team>
__global__ void __launch_bounds__(kMaxForwardThreads, 2)
    forward(const __grid_constant__ Layout<RealFor<T>> layout, const T* __restrict__ value,
            const __grid_constant__ Samples samples, T* __restrict__ output) {
  using Real = RealFor<T>;
  for_each_pair<Team>(layout, [&](const Pair& pair) {
    const auto of_pair = samples.template open<Team>(layout, pair);
    // Repeated only if there are more channels than a team has lanes for.
    for (int32_t first = 0; first < layout.channels; first += Team::kChannels) {
      const int32_t channel = first + Team::lane() * Team::kVector;
      const bool owns_channels = pair.exists && channel < layout.channels;
      Real sums[Team::kVector] = {};
      for (int32_t round = 0; round < layout.samples; round += Team::kRound) {
        const Corners<Real> mine =
            Corners<Real>::of(layout, samples.locate(layout, pair, of_pair, round + Team::lane()));
#pragma unroll
        for (int i = 0; i < Team::kRound; ++i) {
          const Corners<Real> corners = mine.template of_lane<Team>(i);
          if (!owns_channels || !corners.exist()) continue;
          add_sample(layout, corners, value + pair.in_value + channel, sums);
        }
      }
      if (owns_channels) store(output + pair.index * layout.channels + channel, sums);
    }
  });
}

template <class T, class Samples>
cudaError_t launch_forward(const Problem& problem, const LaunchShape& shape, const void* value,
                           const Samples& samples, void* output, cudaStream_t stream) {
  constexpr int kVector = 16 / sizeof(T);  // as many as one instruction loads
  return with_team<T, kVector>(problem.sizes.channels, {value, output}, [&](auto team) {
    using Team = decltype(team);
    return launch(forward<T, Samples, Team>, grid_of<Team>(problem.sizes, shape), shape.threads,
                  stream, layout_of<RealFor<T>>(problem, shape), static_cast<const T*>(value),
                  samples, static_cast<T*>(output));
  });
}

}  // namespace hdetr::cuda
