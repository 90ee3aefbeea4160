// Multi-scale deformable attention on CUDA: the backward.
#include "ms_deform_attn_backward_cuda.cuh"
#include "ms_deform_attn_cuda_launch.cuh"
#include "ms_deform_attn_cuda_sorted.cuh"
#include "ms_deform_attn_cuda_sums.cuh"

namespace hdetr::cuda {
namespace {

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

// Heads of 20 to 32 channels, which those of almost every published model have.
using Neighbours = Team<4, 8>;

// Whether samples of a block meet in their cells so often that it pays to sort them.
bool meet_in_cells(const Sizes& sizes, const LaunchShape& shape) {
  return shape.tiled && sizes.cells < kMaxSortedCells &&
         sizes.channels % Neighbours::kVector == 0 && sizes.channels > Neighbours::kChannels / 2 &&
         sizes.channels <= Neighbours::kChannels;
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
    if (error_ != cudaSuccess) return;
    // Sums of another type than T are in the workspace, which is aligned to more than a vector.
    const std::initializer_list<const void*> vectors = {tensors.grad_output, tensors.value,
                                                        sums.items};
    if constexpr (std::is_same_v<RealFor<T>, float>) {
      if (meet_in_cells(problem.sizes, shape_) && are_aligned<T, Neighbours::kVector>(vectors)) {
        error_ = scatter<T, Weight, Sorted<Neighbours, Sums>>(sums);
        return;
      }
    }
    error_ = with_team<T, Sums::kVector>(problem.sizes.channels, vectors, [&](auto team) {
      return scatter<T, Weight, Direct<decltype(team), Sums>>(sums);
    });
  }

  template <class T, class Sums>
  void read(const Sums& sums) {
    const int64_t count = count_value(problem.sizes);
    if (error_ != cudaSuccess || count == 0) return;
    error_ = launch(read_sums<T, Sums>, array_grid(count, shape_), shape_.threads, stream_, sums,
                    count, static_cast<T*>(tensors.grad_value));
  }

 private:
  template <class T, class Weight, class Scatter>
  cudaError_t scatter(const typename Scatter::Sums& sums) {
    using Real = RealFor<T>;
    return launch(backward<T, Weight, Scatter>,
                  grid_of<typename Scatter::Team>(problem.sizes, shape_), shape_.threads, stream_,
                  layout_of<Real>(problem, shape_), static_cast<const T*>(tensors.grad_output),
                  static_cast<const T*>(tensors.value), static_cast<const Real*>(tensors.locations),
                  static_cast<const Weight*>(tensors.weights), sums,
                  static_cast<Real*>(tensors.grad_locations),
                  static_cast<Weight*>(tensors.grad_weights));
  }

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
