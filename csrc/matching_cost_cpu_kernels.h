// The tasks of matching_cost_cpu.h, for packs of any width.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "matching_cost_cpu.h"
#include "matching_cost_cpu_classes.h"
#include "matching_cost_cpu_scratch.h"

namespace hdetr {

template <int kLanes>
struct MatchingKernels {
  using Number = Pack<float, kLanes>;
  using Classes = ClassCostKernels<kLanes>;

  HDETR_INLINE static void read_boxes(const MatchingArguments& arguments, const QueryBlock& block,
                                      const MatchingScratch& scratch) {
    const float* from =
        arguments.boxes + (block.problem * arguments.sizes.queries + block.first) * 4;
    float* const* box = scratch.box;
    for (int64_t q = 0; q < block.count; ++q, from += 4) {
      for (int i = 0; i < 4; ++i) box[i][q] = from[i];
    }
    for (int64_t q = 0; q < block.count; q += kLanes) {
      const auto corners = Box<Number>::of(load<Number>(box[0] + q), load<Number>(box[1] + q),
                                           load<Number>(box[2] + q), load<Number>(box[3] + q));
      store(box[4] + q, corners.x0);
      store(box[5] + q, corners.y0);
      store(box[6] + q, corners.x1);
      store(box[7] + q, corners.y1);
      store(box[8] + q, corners.area);
    }
  }

  HDETR_INLINE static Box<Number> load_box(const MatchingScratch& scratch, int64_t q) {
    float* const* box = scratch.box;
    return {load<Number>(box[0] + q), load<Number>(box[1] + q), load<Number>(box[2] + q),
            load<Number>(box[3] + q), load<Number>(box[4] + q), load<Number>(box[5] + q),
            load<Number>(box[6] + q), load<Number>(box[7] + q), load<Number>(box[8] + q)};
  }

  HDETR_INLINE static Box<Number> target_box(const MatchingArguments& arguments, int64_t target) {
    const float* const from = arguments.target_boxes + target * 4;
    const Number none{};
    return Box<Number>::of(none + from[0], none + from[1], none + from[2], none + from[3]);
  }

  // Writes the costs of a target; returns whether any of them was not finite.
  HDETR_INLINE static bool write_costs(const MatchingArguments& arguments,
                                       const Box<Number>& target, const QueryBlock& block,
                                       const MatchingScratch& scratch, float* costs) {
    const Number none{};
    Number lost{};
    for (int64_t q = 0; q < block.count; q += kLanes) {
      const auto pair =
          PairCost<Number>::of(load<Number>(scratch.classes + q), target, load_box(scratch, q));
      const Number sum = pair.sum(arguments.rule);
      const auto finite = is_finite(sum);
      const Number cost = finite ? sum : none + kNoMatch;
      lost += finite ? none : none + 1.0f;
      if (q + kLanes <= block.count) {
        store(costs + q, cost);
      } else {
        std::memcpy(costs + q, &cost, (block.count - q) * sizeof(float));
      }
    }
    return sum_of_lanes<kLanes>(lost) > 0;
  }

  // For a target with non-finite costs, of which there are rarely more than a few.
  HDETR_INLINE static void count_nonfinite(const Box<Number>& target, const QueryBlock& block,
                                           const MatchingScratch& scratch, int64_t* nonfinite) {
    int64_t counts[3] = {};
    for (int64_t q = 0; q < block.count; q += kLanes) {
      const auto pair =
          PairCost<Number>::of(load<Number>(scratch.classes + q), target, load_box(scratch, q));
      const Number parts[3] = {pair.classes, pair.distance, pair.giou};
      for (int64_t lane = 0; lane < std::min<int64_t>(kLanes, block.count - q); ++lane) {
        for (int i = 0; i < 3; ++i) counts[i] += !is_finite<float>(parts[i][lane]);
      }
    }
    for (int i = 0; i < 3; ++i) __atomic_fetch_add(nonfinite + i, counts[i], __ATOMIC_RELAXED);
  }

  HDETR_INLINE static void write_block(const MatchingArguments& arguments, const QueryBlock& block,
                                       const MatchingScratch& scratch) {
    const MatchingSizes& sizes = arguments.sizes;
    const int64_t image = block.problem % sizes.images;
    const int64_t* const labels = arguments.labels + image * sizes.targets;
    float* const costs =
        arguments.cost + block.problem * sizes.targets * sizes.queries + block.first;
    if (!scratch.targets.empty()) {
      read_boxes(arguments, block, scratch);
      if (arguments.rule.form == ClassCost::kSoftmax) Classes::sum_rows(arguments, block, scratch);
    }
    const int64_t* before = nullptr;
    for (const int64_t& target : scratch.targets) {
      if (before == nullptr || labels[target] != labels[*before]) {
        Classes::find(arguments, block, labels[target], scratch);
      }
      before = &target;
      const auto box = target_box(arguments, image * sizes.targets + target);
      if (write_costs(arguments, box, block, scratch, costs + target * sizes.queries)) {
        count_nonfinite(box, block, scratch, arguments.nonfinite + 3 * block.problem);
      }
    }
    for (int64_t g = scratch.targets.size(); g < sizes.targets; ++g) {
      std::fill_n(costs + g * sizes.queries, block.count, kNoMatch);
    }
  }

  HDETR_INLINE static void run(const MatchingArguments& arguments, int64_t first, int64_t last) {
    const MatchingSizes& sizes = arguments.sizes;
    const int64_t blocks = divide_up(sizes.queries, kMatchingQueries);
    MatchingScratch scratch(sizes);
    for (int64_t task = first; task < last; ++task) {
      const int64_t problem = task / blocks, query = task % blocks * kMatchingQueries;
      scratch.sort_targets(arguments, problem % sizes.images);
      write_block(arguments, {problem, query, std::min(kMatchingQueries, sizes.queries - query)},
                  scratch);
    }
  }
};

}  // namespace hdetr
