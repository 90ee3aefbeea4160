// The memory that a run of tasks of matching_cost_cpu.h works in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "buffer.h"
#include "matching_cost_cpu.h"

namespace hdetr {

constexpr int64_t kMatchingQueries = 64;  // of a task
constexpr int64_t kWidestPack = 16;

// Queries [first, first + count) of a problem.
struct QueryBlock {
  int64_t problem, first, count;
};

// What is per query has room for a block of them; beyond the last query of a block it holds what
// was there before, or zeros.
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

  // The targets of an image with equal labels next to each other.
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

  float* box[kFields];   // of each query, as in Box
  void* logits;          // of one class, as they are in their array
  float *largest, *sum;  // of each query's logits, for a softmax
  float* classes;        // class cost of one label
  float* row;            // all logits of a query, filled up to a pack
  std::vector<int64_t> targets;

 private:
  Buffer<float> floats_;
  int64_t image_ = -1;
};

}  // namespace hdetr
