// The steps of a backward, for all kinds of samples.
#pragma once

#include "ms_deform_attn_backward_cuda.cuh"
#include "ms_deform_attn_cuda_launch.cuh"
#include "ms_deform_attn_cuda_sorted.cuh"
#include "ms_deform_attn_cuda_sums.cuh"

namespace hdetr::cuda {

// At the start of the workspace of the deterministic backward; the aligned sums follow.
constexpr int64_t kExtremesBytes = 256;

// Numbers of elements of a value, an output, and the weights.
inline int64_t count_value(const Sizes& s) { return s.batch * s.cells * s.heads * s.channels; }
inline int64_t count_output(const Sizes& s) { return s.batch * s.queries * s.heads * s.channels; }
inline int64_t count_weights(const Sizes& s) {
  return s.batch * s.queries * s.heads * s.levels * s.points;
}

inline int32_t log2_rounded_up(int64_t number) {
  int32_t log2 = 0;
  while (log2 < 62 && (int64_t(1) << log2) < number) ++log2;
  return log2;
}

// For kernels that iterate over an array.
inline dim3 array_grid(int64_t count, const LaunchShape& shape) {
  constexpr int64_t kEnough = 1024;  // blocks that keep any device busy
  const int64_t blocks = (count + shape.threads - 1) / shape.threads;
  return dim3(unsigned(std::min({blocks, kEnough, int64_t(shape.max_blocks)})));
}

// Heads with 20 to 32 channels, as in almost every published model.
using Neighbours = Team<4, 8>;

// Whether samples of a block share cells so often that sorting them pays.
inline bool meet_in_cells(const Sizes& sizes, const LaunchShape& shape) {
  return shape.tiled && sizes.cells < kMaxSortedCells &&
         sizes.channels % Neighbours::kVector == 0 && sizes.channels > Neighbours::kChannels / 2 &&
         sizes.channels <= Neighbours::kChannels;
}

// All that is to be done without pairs.
inline cudaError_t zero_value(const Problem& problem, void* grad_value, cudaStream_t stream) {
  const int64_t bytes = count_value(problem.sizes) * element_size(problem.value);
  return bytes > 0 ? zero(grad_value, bytes, stream) : cudaSuccess;
}

// What does not depend on the kind of samples.
struct BackwardBuffers {
  const void *grad_output, *value;
  void *grad_value, *workspace;
};

// The steps of a backward, on one stream. After a failed step the others are skipped.
template <class T, class Samples>
class Steps {
 public:
  using Real = RealFor<T>;

  Steps(const Problem& problem, const LaunchShape& shape, const BackwardBuffers& buffers,
        const Samples& samples, const typename Samples::Gradients& gradients, cudaStream_t stream)
      : problem(problem),
        buffers(buffers),
        samples(samples),
        shape_(shape),
        gradients_(gradients),
        stream_(stream) {}

  const Problem& problem;
  const BackwardBuffers& buffers;
  const Samples& samples;
  cudaError_t error() const { return error_; }

  void zero(void* memory, int64_t bytes) {
    if (error_ == cudaSuccess && bytes > 0) error_ = cuda::zero(memory, bytes, stream_);
  }

  template <class Number>
  void largest(const Number* numbers, int64_t count, typename Bits<Real>::type* result) {
    if (error_ != cudaSuccess || count == 0) return;
    error_ = launch(find_largest<Number>, array_grid(count, shape_), shape_.threads, stream_,
                    numbers, count, result);
  }

  template <class Sums>
  void main(const Sums& sums) {
    if (error_ != cudaSuccess) return;
    // Sums of another type than T are in the workspace, whose alignment is sufficient for vectors.
    const std::initializer_list<const void*> vectors = {buffers.grad_output, buffers.value,
                                                        sums.items};
    if constexpr (std::is_same_v<Real, float>) {
      if (meet_in_cells(problem.sizes, shape_) && are_aligned<T, Neighbours::kVector>(vectors)) {
        error_ = scatter<Sorted<Neighbours, Sums>>(sums);
        return;
      }
    }
    error_ = with_team<T, Sums::kVector>(problem.sizes.channels, vectors, [&](auto team) {
      return scatter<Direct<decltype(team), Sums>>(sums);
    });
  }

  template <class Sums>
  void read(const Sums& sums) {
    const int64_t count = count_value(problem.sizes);
    if (error_ != cudaSuccess || count == 0) return;
    error_ = launch(read_sums<T, Sums>, array_grid(count, shape_), shape_.threads, stream_, sums,
                    count, static_cast<T*>(buffers.grad_value));
  }

 private:
  template <class Scatter>
  cudaError_t scatter(const typename Scatter::Sums& sums) {
    return launch(backward<T, Samples, Scatter>,
                  grid_of<typename Scatter::Team>(problem.sizes, shape_), shape_.threads, stream_,
                  layout_of<Real>(problem, shape_), static_cast<const T*>(buffers.grad_output),
                  static_cast<const T*>(buffers.value), samples, sums, gradients_);
  }

  const LaunchShape& shape_;
  const typename Samples::Gradients& gradients_;
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

// The sums are the gradient of the value.
template <class T, class Samples>
void sum_in_place(Steps<T, Samples>& steps) {
  steps.zero(steps.buffers.grad_value, count_value(steps.problem.sizes) * sizeof(T));
  steps.main(FloatSums<T>{static_cast<T*>(steps.buffers.grad_value)});
}

// 16-bit sums would lose most of what is added to them.
template <class T, class Samples>
void sum_in_float(Steps<T, Samples>& steps) {
  const FloatSums<float> sums{static_cast<float*>(steps.buffers.workspace)};
  steps.zero(steps.buffers.workspace, backward_workspace_bytes(steps.problem, false));
  steps.main(sums);
  steps.read(sums);
}

template <class T, class Samples>
void sum_in_fixed_point(Steps<T, Samples>& steps) {
  using Sums = FixedSums<RealFor<T>>;
  const Sizes& sizes = steps.problem.sizes;
  const BackwardBuffers& buffers = steps.buffers;
  auto* const extremes = static_cast<Extremes<RealFor<T>>*>(buffers.workspace);
  auto* const items = static_cast<char*>(buffers.workspace) + kExtremesBytes;
  const Sums sums{reinterpret_cast<typename Sums::Item*>(items), extremes,
                  log2_rounded_up(sizes.queries * sizes.points), Samples::kOfSoftmax};
  steps.zero(buffers.workspace, backward_workspace_bytes(steps.problem, true));
  steps.largest(static_cast<const T*>(buffers.grad_output), count_output(sizes),
                &extremes->gradient);
  if constexpr (!Samples::kOfSoftmax) {
    steps.largest(steps.samples.weights, count_weights(sizes), &extremes->weight);
  }
  steps.main(sums);
  steps.read(sums);
}

// All steps of a backward with at least one pair.
template <class T, class Samples>
cudaError_t run_backward(const Problem& problem, const LaunchShape& shape,
                         const BackwardBuffers& buffers, const Samples& samples,
                         const typename Samples::Gradients& gradients, bool deterministic,
                         cudaStream_t stream) {
  Steps<T, Samples> steps(problem, shape, buffers, samples, gradients, stream);
  if (deterministic) {
    sum_in_fixed_point(steps);
  } else if constexpr (std::is_same_v<T, RealFor<T>>) {
    sum_in_place(steps);
  } else {
    sum_in_float(steps);
  }
  return steps.error();
}

}  // namespace hdetr::cuda
