// The memory used by a run of tasks of matching_cost_cpu.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "buffer.h"
#include "matching_cost_cpu.h"

namespace hdetr {

constexpr int64_t kMatchingQueries = 64;  // per task
constexpr int64_t kWidestPack = 16;

// Queries [first, first + count) of a problem.
struct QueryBlock {
  int64_t problem, first, count;
};

// Per-query arrays have room for a block of queries; beyond the last query they contain old values
// or zeros.
struct MatchingScratch {
  static constexpr int kFields = sizeof(Box<float>) / sizeof(float);

  explicit MatchingScratch(const MatchingSizes& sizes)
      : floats_((kFields + 4) * kMatchingQueries + sizes.classes + 2 * kWidestPack) {
    float* next = floats_.get();
    for (float*& field : box) field = std::exchange(next, next + kMatchingQueries);
    logits = std::exchange(next, next + kMatchingQueries);
    largest = std::exchange(next, next + kMatchingQueries);
    sum = std::exchange(next, next + kMatchingQueries);
    classes = std::exchange(next, next + kMatchingQueries);
    row = next;
    std::fill(floats_.get(), row, 0.0f);
  }

  // Sorts the targets of an image so that equal labels are adjacent.
  void sort_targets(const MatchingArguments& arguments, int64_t image) {
    if (image == image_) return;
    image_ = image;
    const int64_t count = arguments.num_targets[image];
    const int64_t* const labels = arguments.labels + image * arguments.sizes.targets;
    targets.resize(count);
    std::iota(targets.begin(), targets.end(), 0);
    std::stable_sort(targets.begin(), targets.end(),
                     [&](int64_t a, int64_t b) { return labels[a] < labels[b]; });
  }

  float* box[kFields];   // per query, as in Box
  void* logits;          // of one class, in the array's type
  float *largest, *sum;  // over each query's logits, for a softmax
  float* classes;        // class costs of one label
  float* row;            // all logits of a query, padded to whole packs
  std::vector<int64_t> targets;

 private:
  Buffer<float> floats_;
  int64_t image_ = -1;
};

}  // namespace hdetr
