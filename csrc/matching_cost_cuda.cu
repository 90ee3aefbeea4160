// Matching costs on CUDA: a thread handles one query and iterates over a few targets, so that
// neighbouring threads write neighbouring costs.
#include <algorithm>

#include "cuda_launch.cuh"
#include "matching_cost_cuda.h"

namespace hdetr::cuda {
namespace {

constexpr int kTargets = 16;  // per thread

__device__ __forceinline__ Box<float> load_box(const float* from) {
  return Box<float>::of(from[0], from[1], from[2], from[3]);
}

// The logits of a query, and its softmax denominator.
template <class T>
struct Logits {
  const T* row;  // [K]
  int64_t classes;
  float largest = -kNoMatch, sum = 0;

  __device__ __forceinline__ Logits(const MatchingArguments& given, int64_t row_index)
      : row(static_cast<const T*>(given.logits.data) + row_index * given.sizes.classes),
        classes(given.sizes.classes) {
    if (given.rule.form != ClassCost::kSoftmax) return;
    for (int64_t k = 0; k < classes; ++k) largest = larger(to_real(row[k]), largest);
    for (int64_t k = 0; k < classes; ++k) sum += exp_of_negative(to_real(row[k]) - largest);
  }

  // Nothing is read for a label outside of [0, K).
  __device__ __forceinline__ float cost(int64_t label, const MatchingRule& rule) const {
    if (label < 0 || label >= classes) return kNoMatch;
    const float logit = to_real(row[label]);
    return rule.form == ClassCost::kFocal ? focal_cost(logit, rule.focal)
                                          : softmax_cost(logit, largest, sum);
  }
};

// Targets [first, last) of a query's image.
template <class T>
__device__ __forceinline__ void write_costs(const MatchingArguments& given, int64_t problem,
                                            int64_t query, int64_t first, int64_t last) {
  const MatchingSizes& sizes = given.sizes;
  const int64_t image = problem % sizes.images, targets = given.num_targets[image];
  const int64_t row = problem * sizes.queries + query;
  const Logits<T> logits(given, row);
  const Box<float> box = load_box(given.boxes + 4 * row);
  float classes = 0;
  int64_t before = 0;
  int nonfinite[3] = {};
  for (int64_t g = first; g < last; ++g) {
    float cost = kNoMatch;
    if (g < targets) {
      const int64_t target = image * sizes.targets + g, label = given.labels[target];
      if (g == first || label != before) classes = logits.cost(label, given.rule);
      before = label;
      const auto pair =
          PairCost<float>::of(classes, load_box(given.target_boxes + 4 * target), box);
      const float sum = pair.sum(given.rule);
      if (is_finite(sum)) {
        cost = sum;
      } else {
        nonfinite[0] += !is_finite(pair.classes);
        nonfinite[1] += !is_finite(pair.distance);
        nonfinite[2] += !is_finite(pair.giou);
      }
    }
    given.cost[(problem * sizes.targets + g) * sizes.queries + query] = cost;
  }
  auto* const counts = reinterpret_cast<unsigned long long*>(given.nonfinite) + 3 * problem;
  for (int i = 0; i < 3; ++i) {
    if (nonfinite[i] > 0) atomicAdd(counts + i, static_cast<unsigned long long>(nonfinite[i]));
  }
}

// Blocks in x are queries, in y problems, in z groups of targets.
template <class T>
__global__ void __launch_bounds__(kMostThreads)
    matching_cost(const __grid_constant__ MatchingArguments given) {
  const MatchingSizes& sizes = given.sizes;
  for (int64_t problem = blockIdx.y; problem < sizes.problems; problem += gridDim.y) {
    for (int64_t first = int64_t(blockIdx.z) * kTargets; first < sizes.targets;
         first += int64_t(gridDim.z) * kTargets) {
      const int64_t last = min(first + kTargets, sizes.targets);
      for (int64_t query = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; query < sizes.queries;
           query += int64_t(gridDim.x) * blockDim.x) {
        write_costs<T>(given, problem, query, first, last);
      }
    }
  }
}

dim3 grid_of(const MatchingSizes& sizes, const Cut& cut) {
  const auto blocks = [&](int64_t size, int64_t at_once, int64_t limit) {
    return unsigned(std::min({divide_up(size, at_once), limit, int64_t(cut.blocks)}));
  };
  return dim3(blocks(sizes.queries, cut.threads, INT32_MAX), blocks(sizes.problems, 1, UINT16_MAX),
              blocks(sizes.targets, kTargets, UINT16_MAX));
}

}  // namespace

cudaError_t launch_matching_cost(const MatchingArguments& given, const Cut& cut,
                                 cudaStream_t stream) {
  const MatchingSizes& sizes = given.sizes;
  if (sizes.problems == 0 || sizes.queries == 0 || sizes.targets == 0) return cudaSuccess;
  return with_single_type(given.logits.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return launch(matching_cost<T>, grid_of(sizes, cut), cut.threads, stream, given);
  });
}

}  // namespace hdetr::cuda
