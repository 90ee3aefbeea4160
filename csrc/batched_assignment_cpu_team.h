// The single-threaded team that solves a problem on the CPU.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "batched_assignment.h"
#include "pack.h"

namespace hdetr {

inline constexpr int64_t kBlock = 32;  // queries whose least cost is found at once

// The costs of a target or, with `kFree`, of its queries without an owner.
template <class Costs, bool kFree>
struct Row;

template <bool kFree>
struct Row<GivenCosts, kFree> {
  using Floats = Pack<float, 8>;
  using Integers = Pack<int32_t, 8>;

  const float *costs, *taken;
  // The largest magnitude of the costs examined. As integers, inf and nan are larger than any
  // number.
  Integers largest{};
  int32_t largest_alone = 0;

  HDETR_INLINE Row(const GivenCosts& given, int64_t target, const float* taken)
      : costs(given.costs + target * given.columns), taken(taken) {}

  HDETR_INLINE double at(int64_t column) const {
    return kFree ? costs[column] + taken[column] : costs[column];
  }

  // The minimum of `count` columns, a multiple of eight.
  HDETR_INLINE double least_of(int64_t column, int64_t count) {
    Floats least = eight(column);
    for (int64_t k = 8; k < count; k += 8) {
      const Floats next = eight(column + k);
      least = next < least ? next : least;
    }
    using Half = Pack<float, 4>;
    constexpr std::make_integer_sequence<int, 4> lanes;
    const Half low = shuffle<Half, Strided<0, 1>>(least, least, lanes);
    const Half high = shuffle<Half, Strided<4, 1>>(least, least, lanes);
    const Half both = low < high ? low : high;
    const float first = both[0] < both[1] ? both[0] : both[1];
    const float last = both[2] < both[3] ? both[2] : both[3];
    return first < last ? first : last;
  }

  HDETR_INLINE double look_at(int64_t column) {
    const int32_t magnitude = bits_as<int32_t>(costs[column]) & 0x7fffffff;
    largest_alone = magnitude > largest_alone ? magnitude : largest_alone;
    return at(column);
  }

  // Whether all costs examined allow their pair.
  HDETR_INLINE bool is_allowed() const {
    const int32_t limit = bits_as<int32_t>(kLargestCost);
    bool all = largest_alone <= limit;
    for (int lane = 0; lane < 8; ++lane) all &= largest[lane] <= limit;
    return all;
  }

 private:
  HDETR_INLINE Floats eight(int64_t column) {
    const Floats eight = load<Floats>(costs + column);
    if constexpr (kFree) {
      return eight + load<Floats>(taken + column);
    } else {
      const Integers magnitude = bits_as<Integers>(eight) & 0x7fffffff;
      largest = magnitude > largest ? magnitude : largest;
      return eight;
    }
  }
};

template <bool kFree>
struct Row<PricedCosts, kFree> {
  const PricedCosts priced;
  const int64_t target;
  const float* taken;

  HDETR_INLINE Row(const PricedCosts& priced, int64_t target, const float* taken)
      : priced(priced), target(target), taken(taken) {}

  HDETR_INLINE double at(int64_t column) const {
    return kFree ? priced.rank(target, column) + taken[column] : priced.rank(target, column);
  }
  HDETR_INLINE double least_of(int64_t column, int64_t count) const {
    double least = kNever;
    for (int64_t k = 0; k < count; ++k) least = std::min(least, at(column + k));
    return least;
  }
  HDETR_INLINE double look_at(int64_t column) const { return at(column); }
  HDETR_INLINE bool is_allowed() const { return true; }
};

// The few smallest of the inserted numbers, in order; in case of a tie the first.
struct Few {
  double* numbers;
  int64_t* indices;
  int64_t most, count = 0;
  double limit = DBL_MAX;  // larger numbers are not wanted

  // Of equal numbers the first are kept; they are inserted in the order of their indices.
  HDETR_INLINE bool wants(double number) const {
    return number < limit || (number == limit && count < most);
  }

  HDETR_INLINE void insert(double number, int64_t index) {
    if (!wants(number)) return;
    int64_t k = count < most ? count++ : count - 1;
    for (; k > 0 && numbers[k - 1] > number; --k) {
      numbers[k] = numbers[k - 1];
      indices[k] = indices[k - 1];
    }
    numbers[k] = number;
    indices[k] = index;
    if (count == most) limit = numbers[count - 1];
  }
};

// The memory of this team, in addition to `AssignmentMemory`.
struct LoneMemory {
  float* taken;      // per column: infinite if it has an owner, else 0
  double* least;     // per block of columns: the least cost
  double* cheapest;  // [list_size]
};

template <class Costs>
class LoneTeam {
 public:
  using Index = int64_t;
  using Listed = Index;  // the column
  static constexpr bool kStartsTogether = false;
  using Quad = Pack<double, 4>;
  template <class Number>
  using IndicesOf = std::conditional_t<std::is_same_v<Number, double>, Index, Pack<Index, 4>>;

  HDETR_INLINE LoneTeam(const Costs& costs, Index capacity, Index list_size,
                        const LoneMemory& memory)
      : costs_(costs), capacity_(capacity), list_size_(list_size), m_(memory) {
    for (Index j = 0; j < costs_.columns; ++j) m_.taken[j] = 0;
  }

  HDETR_INLINE double at(Index target, Index column) const { return costs_.at(target, column); }
  HDETR_INLINE Index column_of(Listed listed) const { return listed; }
  HDETR_INLINE double cost_of(Index target, Listed listed) const { return at(target, listed); }

  template <class Body>
  HDETR_INLINE void for_each(Index count, const Body& body) const {
    for (Index i = 0; i < count; ++i) body(i);
  }
  template <class Body>
  HDETR_INLINE void for_slots(Index count, const Body& body) const {
    const Index whole = count / 4 * 4;
    if (whole > 0) body(Quad{}, Index{0}, whole, Index{4});
    if (whole < count) body(double{}, whole, count, Index{1});
  }
  template <class Value>
  HDETR_INLINE const Value& least(const Value& value) const {
    return value;
  }
  HDETR_INLINE void sync() const {}
  HDETR_INLINE bool leads() const { return true; }

  HDETR_INLINE void take(Index column) { m_.taken[column] = kTaken; }
  HDETR_INLINE bool is_taken(Index column) const { return m_.taken[column] != 0; }

  HDETR_INLINE Index find_cheapest(Index target, Index* list) const {
    Row<Costs, false> row(costs_, target, m_.taken);
    look_at_blocks(row);
    return row.is_allowed() ? find(row, list, capacity_) : 0;
  }
  HDETR_INLINE Index find_free(Index target, Index* list) const {
    Row<Costs, true> row(costs_, target, m_.taken);
    look_at_blocks(row);
    return find(row, list, list_size_);
  }

 private:
  static constexpr float kTaken = __builtin_huge_valf();

  // The least cost of every block of queries.
  template <class Row>
  HDETR_INLINE void look_at_blocks(Row& row) const {
    const Index columns = costs_.columns;
    double* least = m_.least;
    Index j = 0;
    for (; j + kBlock <= columns; j += kBlock) *least++ = row.least_of(j, kBlock);
    *least = kNever;
    for (; j + 8 <= columns; j += 8) *least = std::min(*least, row.least_of(j, 8));
    for (; j < columns; ++j) *least = std::min(*least, row.look_at(j));
  }

  template <class Row>
  HDETR_INLINE Index find(const Row& row, Index* list, Index most) const {
    return most == 1 ? find_one(row, list) : find_few(row, list, most);
  }

  template <class Row>
  HDETR_INLINE Index find_one(const Row& row, Index* list) const {
    Index block = 0;
    for (Index b = 1; b < costs_.columns / kBlock + 1; ++b) {
      block = m_.least[b] < m_.least[block] ? b : block;
    }
    Index column = block * kBlock;
    while (row.at(column) > m_.least[block]) ++column;
    list[0] = column;
    return 1;
  }

  template <class Row>
  HDETR_INLINE Index find_few(const Row& row, Index* list, Index most) const {
    const Index blocks = costs_.columns / kBlock + 1;
    Few few{m_.cheapest, list, most};
    for (Index b = 0; b < blocks; ++b) few.insert(m_.least[b], b);
    // This many blocks contain something at most this expensive: more expensive blocks can be
    // skipped.
    few.count = 0;
    for (Index b = 0; b < blocks; ++b) {
      if (!few.wants(m_.least[b])) continue;
      const Index end = std::min((b + 1) * kBlock, costs_.columns);
      for (Index j = b * kBlock; j < end; ++j) few.insert(row.at(j), j);
    }
    return few.count;
  }

  const Costs costs_;
  const Index capacity_, list_size_;
  const LoneMemory m_;
};

}  // namespace hdetr
