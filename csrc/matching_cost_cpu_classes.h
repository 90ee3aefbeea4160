// The class term of matching costs, for packs of any width.
#pragma once

#include <algorithm>
#include <cstdint>

#include "array.h"
#include "matching_cost_cpu.h"
#include "matching_cost_cpu_scratch.h"

namespace hdetr {

template <int kLanes>
struct ClassCostKernels {
  using Number = Pack<float, kLanes>;

  // Reads the logits of one query into scratch.row, padded with values that do not affect a
  // softmax.
  HDETR_INLINE static void read_row(const ConstArray& logits, int64_t start, int64_t classes,
                                    const MatchingScratch& scratch) {
    int64_t k = 0;
    for (; k + kLanes <= classes; k += kLanes) {
      store(scratch.row + k, read<float, kLanes>(logits, start + k));
    }
    store(scratch.row + k, read_some<float, kLanes>(logits, start + k, classes - k));
    store(scratch.row + classes, Number{} - kNoMatch);
  }

  // Computes the softmax denominators of each query.
  HDETR_INLINE static void sum_rows(const MatchingArguments& arguments, const QueryBlock& block,
                                    const MatchingScratch& scratch) {
    const int64_t classes = arguments.sizes.classes;
    const int64_t first = block.problem * arguments.sizes.queries + block.first;
    for (int64_t q = 0; q < block.count; ++q) {
      read_row(arguments.logits, (first + q) * classes, classes, scratch);
      Number largest = Number{} - kNoMatch, sum{};
      for (int64_t k = 0; k < classes; k += kLanes) {
        largest = larger(load<Number>(scratch.row + k), largest);
      }
      float most = largest[0];
      for (int lane = 1; lane < kLanes; ++lane) most = larger(largest[lane], most);
      for (int64_t k = 0; k < classes; k += kLanes) {
        sum += exp_of_negative(load<Number>(scratch.row + k) - most);
      }
      scratch.largest[q] = most;
      scratch.sum[q] = sum_of_lanes<kLanes>(sum);
    }
  }

  template <class Word>
  HDETR_INLINE static void copy_column(const MatchingArguments& arguments, const QueryBlock& block,
                                       int64_t label, const MatchingScratch& scratch) {
    const int64_t classes = arguments.sizes.classes;
    const Word* from = static_cast<const Word*>(arguments.logits.data) + label +
                       (block.problem * arguments.sizes.queries + block.first) * classes;
    for (int64_t q = 0; q < block.count; ++q, from += classes) {
      static_cast<Word*>(scratch.logits)[q] = *from;
    }
  }

  // The class costs of a label for the queries of a block, in scratch.classes.
  HDETR_INLINE static void find(const MatchingArguments& arguments, const QueryBlock& block,
                                int64_t label, const MatchingScratch& scratch) {
    const Type type = arguments.logits.type;
    if (label < 0 || label >= arguments.sizes.classes) {
      std::fill_n(scratch.classes, kMatchingQueries, kNoMatch);
      return;
    }
    if (element_size(type) == 4) {
      copy_column<uint32_t>(arguments, block, label, scratch);
    } else {
      copy_column<uint16_t>(arguments, block, label, scratch);
    }
    for (int64_t q = 0; q < block.count; q += kLanes) {
      const Number logit = read<float, kLanes>({scratch.logits, type}, q);
      store(scratch.classes + q, arguments.rule.form == ClassCost::kFocal
                                     ? focal_cost(logit, arguments.rule.focal)
                                     : softmax_cost(logit, load<Number>(scratch.largest + q),
                                                    load<Number>(scratch.sum + q)));
    }
  }
};

}  // namespace hdetr
