// Multi-scale deformable attention on CUDA: the backward.
#include "ms_deform_attn_cuda.cuh"
#include "ms_deform_attn_cuda_launch.cuh"
#include "ms_deform_attn_cuda_sums.cuh"

namespace hdetr::cuda {
namespace {

// The products of the output's gradient with the values of a sample's corners.
template <class Real>
struct Dots {
  Real of[kCorners];
};

// Calls `dots_of(i)` for kCount samples from `first` on, and adds up over kCount neighbouring lanes
// what each finds in its own channels. Lane l gets the sums of sample first + l % kCount: at every
// step a lane gives away the half of the samples that is not its own, which takes fewer shuffles
// than one sum after the other.
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

// The dots of the samples of a round: lane l of the team gets those of sample l % kRound.
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

// One sample, for one lane's vector of channels: adds to the gradient of the value and to the dots.
template <class T, class Real, class Sums, int kVector>
__device__ __forceinline__ void scatter(const Layout<Real>& layout, const Corners<Real>& corners,
                                        const Real (&gradient)[kVector], const T* value,
                                        const Sums& sums, typename Sums::Item* grad_value,
                                        Dots<Real>& dots) {
  Vector<T, kVector> values[kCorners];
  load_corners(layout, corners, value, values);
  // Nothing waits for these sums, which are on their way while the values arrive.
#pragma unroll
  for (int corner = 0; corner < kCorners; ++corner) {
    // A corner without a share is, as a rule, beyond the border.
    if (corners.shares[corner] == Real(0)) continue;
    Real terms[kVector];
#pragma unroll
    for (int i = 0; i < kVector; ++i) terms[i] = corners.shares[corner] * gradient[i];
    sums.add(layout.in_cell(grad_value, corners.cell_of(corner)), terms);
  }
#pragma unroll
  for (int corner = 0; corner < kCorners; ++corner) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      dots.of[corner] += gradient[i] * to_real(values[corner].items[i]);
    }
  }
}

template <class Real, class Weight>
__device__ __forceinline__ void write_gradient(const Layout<Real>& layout,
                                               const Located<Real>& located, const Dots<Real>& dots,
                                               int64_t at, Real* grad_locations,
                                               Weight* grad_weights) {
  SampleGradient<Real> by{};
  if (located.within) {
    by = gradient(located.sample, layout.levels[located.level], located.weight, dots.of);
  }
  grad_locations[2 * at] = by.x;
  grad_locations[2 * at + 1] = by.y;
  assign(grad_weights[at], by.weight);
}

template <class T, class Weight, class Team, class Sums>
__global__ void __launch_bounds__(kMaxBackwardThreads, sizeof(T) < 8 ? 3 : 2)
    backward(const __grid_constant__ Layout<RealFor<T>> layout, const T* __restrict__ grad_output,
             const T* __restrict__ value, const RealFor<T>* __restrict__ locations,
             const Weight* __restrict__ weights, Sums sums, RealFor<T>* __restrict__ grad_locations,
             Weight* __restrict__ grad_weights) {
  using Real = RealFor<T>;
  constexpr int kVector = Team::kVector;
  sums.open();
  for_each_pair<Team>(layout, [&](const Pair& pair) {
    const T* const grad_head = grad_output + pair.index * layout.channels;
    const int32_t own_channel = Team::lane() * kVector;
    const int32_t end = pair.exists ? layout.channels : 0;
    // Lanes of a whole warp, which may come by more than once, have no registers to keep a vector.
    constexpr bool kKept = Team::kLanes < kWarp || kVector == 1;
    Real own_gradient[kVector] = {};
    if (kKept && own_channel < end) load_to(own_gradient, grad_head + own_channel);

    for (int32_t round = 0; round < layout.samples; round += Team::kRound) {
      const int32_t own_sample = round + Team::lane();
      const Located<Real> located = locate(layout, pair, own_sample, locations, weights);
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
          scatter(layout, corners, gradient, value + pair.in_value + channel, sums,
                  sums.items + pair.in_value + channel, partial);
          if (Team::kLanes < kWarp) break;  // smaller teams have a lane for every channel
        }
        return partial;
      });

      if (pair.exists && Team::lane() < Team::kRound && own_sample < layout.samples) {
        write_gradient(layout, located, dots, pair.index * layout.samples + own_sample,
                       grad_locations, grad_weights);
      }
    }
  });
}

// ---- on the host

// At the start of the scratch memory of the deterministic backward; then the sums, aligned.
constexpr int64_t kExtremesBytes = 256;

// How many numbers a value holds, and an output, and the weights.
int64_t count_value(const Sizes& s) { return s.batch * s.cells * s.heads * s.channels; }
int64_t count_output(const Sizes& s) { return s.batch * s.queries * s.heads * s.channels; }
int64_t count_weights(const Sizes& s) {
  return s.batch * s.queries * s.heads * s.levels * s.points;
}

int32_t log2_rounded_up(int64_t number) {
  int32_t log2 = 0;
  while (log2 < 62 && (int64_t(1) << log2) < number) ++log2;
  return log2;
}

// For kernels that go through an array of numbers.
dim3 array_grid(int64_t count, const LaunchShape& shape) {
  constexpr int64_t kEnough = 1024;  // blocks to keep any device busy
  const int64_t blocks = (count + shape.threads - 1) / shape.threads;
  return dim3(unsigned(std::min({blocks, kEnough, int64_t(shape.max_blocks)})));
}

// What a backward consists of, on one stream. Once a step has failed the others are left out.
class Steps {
 public:
  Steps(const Problem& problem, const LaunchShape& shape, const BackwardTensors& tensors,
        cudaStream_t stream)
      : problem(problem), tensors(tensors), shape_(shape), stream_(stream) {}

  const Problem& problem;
  const BackwardTensors& tensors;
  cudaError_t error() const { return error_; }

  void zero(void* memory, int64_t bytes) {
    if (error_ == cudaSuccess && bytes > 0) error_ = cuda::zero(memory, bytes, stream_);
  }

  template <class T>
  void largest(const void* numbers, int64_t count, typename Bits<RealFor<T>>::type* result) {
    if (error_ != cudaSuccess || count == 0) return;
    error_ = launch(find_largest<T>, array_grid(count, shape_), shape_.threads, stream_,
                    static_cast<const T*>(numbers), count, result);
  }

  template <class T, class Weight, class Sums>
  void main(const Sums& sums) {
    using Real = RealFor<T>;
    if (error_ != cudaSuccess) return;
    const auto call = [&](auto team) {
      using Team = decltype(team);
      return launch(
          backward<T, Weight, Team, Sums>, grid_of<Team>(problem.sizes, shape_), shape_.threads,
          stream_, layout_of<Real>(problem, shape_), static_cast<const T*>(tensors.grad_output),
          static_cast<const T*>(tensors.value), static_cast<const Real*>(tensors.locations),
          static_cast<const Weight*>(tensors.weights), sums,
          static_cast<Real*>(tensors.grad_locations), static_cast<Weight*>(tensors.grad_weights));
    };
    // Sums of another type than T are in the workspace, which is aligned to more than a vector.
    error_ = with_team<T, Sums::kVector>(problem.sizes.channels,
                                         {tensors.grad_output, tensors.value, sums.items}, call);
  }

  template <class T, class Sums>
  void read(const Sums& sums) {
    const int64_t count = count_value(problem.sizes);
    if (error_ != cudaSuccess || count == 0) return;
    error_ = launch(read_sums<T, Sums>, array_grid(count, shape_), shape_.threads, stream_, sums,
                    count, static_cast<T*>(tensors.grad_value));
  }

 private:
  const LaunchShape& shape_;
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

// The sums are the gradient of the value.
template <class T, class Weight>
void sum_in_place(Steps& steps) {
  steps.zero(steps.tensors.grad_value, count_value(steps.problem.sizes) * sizeof(T));
  steps.main<T, Weight>(FloatSums<T>{static_cast<T*>(steps.tensors.grad_value)});
}

// Sums of 16 bits would lose most of what is added to them.
template <class T, class Weight>
void sum_in_float(Steps& steps) {
  const FloatSums<float> sums{static_cast<float*>(steps.tensors.workspace)};
  steps.zero(steps.tensors.workspace, backward_workspace_bytes(steps.problem, false));
  steps.main<T, Weight>(sums);
  steps.read<T>(sums);
}

template <class T, class Weight>
void sum_in_fixed_point(Steps& steps) {
  using Sums = FixedSums<RealFor<T>>;
  const Sizes& sizes = steps.problem.sizes;
  const BackwardTensors& tensors = steps.tensors;
  auto* const extremes = static_cast<Extremes<RealFor<T>>*>(tensors.workspace);
  auto* const items = static_cast<char*>(tensors.workspace) + kExtremesBytes;
  const Sums sums{reinterpret_cast<typename Sums::Item*>(items), extremes,
                  log2_rounded_up(sizes.queries * sizes.points)};
  steps.zero(tensors.workspace, backward_workspace_bytes(steps.problem, true));
  steps.largest<T>(tensors.grad_output, count_output(sizes), &extremes->gradient);
  steps.largest<Weight>(tensors.weights, count_weights(sizes), &extremes->weight);
  steps.main<T, Weight>(sums);
  steps.read<T>(sums);
}

}  // namespace

int64_t backward_workspace_bytes(const Problem& problem, bool deterministic) {
  const int64_t count = count_value(problem.sizes);
  if (deterministic) return kExtremesBytes + count * int64_t(sizeof(unsigned long long));
  return element_size(problem.value) == 2 ? count * int64_t(sizeof(float)) : 0;
}

cudaError_t launch_ms_deform_attn_backward(const Problem& problem, const LaunchShape& shape,
                                           const BackwardTensors& tensors, bool deterministic,
                                           cudaStream_t stream) {
  Steps steps(problem, shape, tensors, stream);
  if (has_no_pairs(problem.sizes)) {
    steps.zero(tensors.grad_value, count_value(problem.sizes) * element_size(problem.value));
    return steps.error();
  }
  return with_types(problem, [&](auto value_tag, auto weight_tag) {
    using T = typename decltype(value_tag)::type;
    using Weight = typename decltype(weight_tag)::type;
    if (deterministic) {
      sum_in_fixed_point<T, Weight>(steps);
    } else if constexpr (std::is_same_v<T, RealFor<T>>) {
      sum_in_place<T, Weight>(steps);
    } else {
      sum_in_float<T, Weight>(steps);
    }
    return steps.error();
  });
}

}  // namespace hdetr::cuda
