// Optimal assignment of queries to targets: one problem, by shortest augmenting paths.
//
// A target takes up to `capacity` queries, a query belongs to one target at most. The rows of the
// cost matrix are the targets, which are few; the columns are the queries. Of all assignments with
// the most pairs, the cheapest is found. A search for one more query of a target is Dijkstra's
// algorithm on reduced costs (Jonker and Volgenant, https://doi.org/10.1007/BF02278710), with one
// change for capacities: a target is scanned once, whichever of its queries it was reached by, and
// with it all of them are settled. So a search scans every target once at most, where repeated rows
// would be scanned `capacity` times each.
//
// Costs are float32, duals and distances float64: a sum of a few hundred costs is exact there to
// about 1e-13 of the largest, far less than what the costs themselves were rounded by. Equal sums
// are decided by the index of the query.
#pragma once

#include <cstdint>
#include <type_traits>

#include "pack.h"

namespace hdetr {

inline constexpr float kLargestCost = 1e30f;  // beyond it a cost says "never", like inf and nan
inline constexpr double kNever = __builtin_huge_val();
inline constexpr int64_t kNobody = -1;

HDETR_INLINE bool is_allowed(float cost) { return cost <= kLargestCost && cost >= -kLargestCost; }

inline constexpr int64_t kBlock = 32;  // queries whose least cost is found at once

// Costs of a problem in which every target can have its queries, if every pair is allowed.
struct GivenCosts {
  const float* costs;
  int64_t columns;

  template <class Number>
  HDETR_INLINE Number at(int64_t row, int64_t column) const {
    const float* const from = costs + row * columns + column;
    if constexpr (std::is_same_v<Number, double>) {
      return *from;
    } else {
      return __builtin_convertvector(load<Pack<float, 4>>(from), Number);
    }
  }

  // The largest magnitude of the costs that were looked at. As integers, inf and nan are larger
  // than any number.
  struct Guard {
    Pack<int32_t, 8> largest{};
    int32_t largest_alone = 0;

    HDETR_INLINE bool allows_all() const {
      const int32_t limit = bits_as<int32_t>(kLargestCost);
      bool all = largest_alone <= limit;
      for (int lane = 0; lane < 8; ++lane) all &= largest[lane] <= limit;
      return all;
    }
  };

  // Of `count` queries, a multiple of eight.
  HDETR_INLINE double least_of(int64_t row, int64_t column, int64_t count, Guard& guard) const {
    using Floats = Pack<float, 8>;
    using Integers = Pack<int32_t, 8>;
    const float* const from = costs + row * columns + column;
    Floats least = load<Floats>(from);
    for (int64_t k = 0; k < count; k += 8) {
      const Floats next = load<Floats>(from + k);
      const Integers magnitude = bits_as<Integers>(next) & 0x7fffffff;
      guard.largest = magnitude > guard.largest ? magnitude : guard.largest;
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

  HDETR_INLINE double look_at(int64_t row, int64_t column, Guard& guard) const {
    const float cost = costs[row * columns + column];
    const int32_t magnitude = bits_as<int32_t>(cost) & 0x7fffffff;
    guard.largest_alone = magnitude > guard.largest_alone ? magnitude : guard.largest_alone;
    return cost;
  }
};

// Costs of any other problem, filled up with columns so that every target can have its queries, and
// with a price on what is forbidden and on those columns that no saving elsewhere can outweigh: the
// cheapest solution has the most pairs that are allowed.
struct PricedCosts {
  const double* costs;
  int64_t columns;

  template <class Number>
  HDETR_INLINE Number at(int64_t row, int64_t column) const {
    return load<Number>(costs + row * columns + column);
  }

  struct Guard {
    HDETR_INLINE bool allows_all() const { return true; }
  };

  HDETR_INLINE double least_of(int64_t row, int64_t column, int64_t count, Guard& guard) const {
    double least = kNever;
    for (int64_t k = 0; k < count; ++k) {
      const double cost = look_at(row, column + k, guard);
      least = cost < least ? cost : least;
    }
    return least;
  }

  HDETR_INLINE double look_at(int64_t row, int64_t column, Guard&) const {
    return at<double>(row, column);
  }
};

// What a solution works in.
struct AssignmentMemory {
  // For each target. `held` has its queries, [targets, capacity].
  double *dual, *distance;
  int64_t *through, *count, *held, *scanned;
  // For each query, and the least cost of each block of them.
  double *price, *reach, *least;
  int64_t *owner, *from;
};

// As wide as the numbers, and as the memory: a mask of numbers chooses among indices.
template <class Number>
using IndexOf = std::conditional_t<std::is_same_v<Number, double>, int64_t, IntegerOf<Number>>;

struct Candidate {
  double distance;
  int64_t query;

  // Of equal ones the first.
  HDETR_INLINE bool operator<(const Candidate& other) const {
    return distance < other.distance || (distance == other.distance && query < other.query);
  }
};
inline constexpr Candidate kNoCandidate{kNever, INT64_MAX};

template <class Costs>
class AssignmentSolver {
 public:
  HDETR_INLINE AssignmentSolver(const Costs& costs, int64_t targets, int64_t capacity,
                                const AssignmentMemory& memory)
      : costs_(costs),
        targets_(targets),
        queries_(costs.columns),
        capacity_(capacity),
        m_(memory) {}

  // False if a pair is forbidden; then nothing is solved.
  HDETR_INLINE bool solve() {
    for (int64_t j = 0; j < queries_; ++j) {
      m_.owner[j] = kNobody;
      m_.price[j] = 0;
    }
    for (int64_t i = 0; i < targets_; ++i) {
      if (!start(i)) return false;
    }
    for (int64_t i = 0; i < targets_; ++i) {
      while (m_.count[i] < capacity_) extend(i);
    }
    return true;
  }

 private:
  using Quad = Pack<double, 4>;

  // Gives a target its cheapest queries, up to the first that another one has. What it gives up for
  // those that it gets is their price, and none is dearer to it than its dual: no pair has a
  // negative reduced cost, and those that are made have none.
  // False if one of its pairs is forbidden.
  HDETR_INLINE bool start(int64_t target) {
    if (!look_at_blocks(target)) return false;
    int64_t* const held = m_.held + target * capacity_;
    double* const cheapest = m_.reach;  // not in use yet
    const int64_t found = find_cheapest(target, held, cheapest);
    int64_t count = 0;
    while (count < found && m_.owner[held[count]] == kNobody) ++count;
    const double dual = cheapest[count < found ? count : found - 1];
    for (int64_t k = 0; k < count; ++k) {
      m_.owner[held[k]] = target;
      m_.price[held[k]] = cheapest[k] - dual;
    }
    m_.dual[target] = dual;
    m_.count[target] = count;
    return true;
  }

  // The least cost of every block of queries. False if a pair is forbidden.
  HDETR_INLINE bool look_at_blocks(int64_t target) {
    typename Costs::Guard guard;
    int64_t j = 0;
    double* least = m_.least;
    for (; j + kBlock <= queries_; j += kBlock) {
      *least++ = costs_.least_of(target, j, kBlock, guard);
    }
    double last = kNever;
    for (; j + 8 <= queries_; j += 8) {
      const double cost = costs_.least_of(target, j, 8, guard);
      last = cost < last ? cost : last;
    }
    for (; j < queries_; ++j) {
      const double cost = costs_.look_at(target, j, guard);
      last = cost < last ? cost : last;
    }
    *least = last;
    return guard.allows_all();
  }

  // The few smallest of the numbers that were inserted, in order; of equal ones the first.
  struct Few {
    double* numbers;
    int64_t* indices;
    int64_t most, count;
    double limit;  // nothing dearer is wanted

    HDETR_INLINE void insert(double number, int64_t index) {
      if (number > limit || (count == most && number == limit)) return;
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

  // The first of the cheapest queries of a target.
  HDETR_INLINE int64_t find_one(int64_t target) const {
    int64_t block = 0;
    for (int64_t b = 1; b < queries_ / kBlock + 1; ++b) {
      block = m_.least[b] < m_.least[block] ? b : block;
    }
    int64_t query = block * kBlock;
    while (costs_.template at<double>(target, query) > m_.least[block]) ++query;
    return query;
  }

  // The `capacity` cheapest queries of a target in order; how many there are.
  HDETR_INLINE int64_t find_cheapest(int64_t target, int64_t* queries, double* costs) const {
    if (capacity_ == 1) {
      queries[0] = find_one(target);
      costs[0] = costs_.template at<double>(target, queries[0]);
      return 1;
    }
    const int64_t blocks = queries_ / kBlock + 1;
    Few few{costs, queries, capacity_, 0, kNever};
    for (int64_t b = 0; b < blocks; ++b) few.insert(m_.least[b], b);
    // So many blocks hold something as cheap as this: no block that is dearer is worth a look.
    few.count = 0;
    for (int64_t b = 0; b < blocks; ++b) {
      if (m_.least[b] > few.limit) continue;
      const int64_t end = (b + 1) * kBlock < queries_ ? (b + 1) * kBlock : queries_;
      for (int64_t j = b * kBlock; j < end; ++j) {
        few.insert(costs_.template at<double>(target, j), j);
      }
    }
    return few.count;
  }

  // The nearest queries of a search that are not settled.
  struct Nearest {
    Candidate free = kNoCandidate, owned = kNoCandidate;
  };

  template <class Number>
  HDETR_INLINE static Candidate least(const Number& distances, const IndexOf<Number>& queries) {
    Candidate best = kNoCandidate;
    for (int lane = 0; lane < 4; ++lane) {
      const Candidate candidate{distances[lane], queries[lane]};
      if (candidate.distance < kNever && candidate < best) best = candidate;
    }
    return best;
  }

  // Reaches for queries [first, last) from a target at `offset`, which is its distance less its
  // dual.
  template <class Number, bool kFirst>
  HDETR_INLINE void reach_from(int64_t target, double offset, int64_t first, int64_t last,
                               Nearest& nearest) {
    using Integer = IndexOf<Number>;
    constexpr int64_t kStep = sizeof(Number) / sizeof(double);
    const Number never = Number{} + kNever;
    const Integer us = Integer{} + target;
    Number free = never, owned = never;
    Integer free_query{}, owned_query{}, query{};
    if constexpr (kStep == 1) {
      query = first;
    } else {
      query = Integer{0, 1, 2, 3} + first;
    }
    for (int64_t j = first; j < last; j += kStep, query += kStep) {
      const Integer owner = load<Integer>(m_.owner + j);
      Number reach = costs_.template at<Number>(target, j) + offset - load<Number>(m_.price + j);
      Integer from = us;
      if constexpr (!kFirst) {
        const Number before = load<Number>(m_.reach + j);
        const auto nearer = reach < before;
        reach = nearer ? reach : before;
        from = nearer ? us : load<Integer>(m_.from + j);
      } else {
        reach = owner == us ? -never : reach;
      }
      store(m_.reach + j, reach);
      store(m_.from + j, from);
      const auto is_free = owner < Integer{};
      const Number if_free = is_free ? reach : never;
      const Number if_owned = is_free ? never : (reach > -never ? reach : never);
      const auto nearest_free = if_free < free, nearest_owned = if_owned < owned;
      free = nearest_free ? if_free : free;
      free_query = nearest_free ? query : free_query;
      owned = nearest_owned ? if_owned : owned;
      owned_query = nearest_owned ? query : owned_query;
    }
    if constexpr (kStep == 1) {
      const Candidate f{free, free_query}, o{owned, owned_query};
      if (free < kNever && f < nearest.free) nearest.free = f;
      if (owned < kNever && o < nearest.owned) nearest.owned = o;
    } else {
      const Candidate f = least<Number>(free, free_query), o = least<Number>(owned, owned_query);
      if (f < nearest.free) nearest.free = f;
      if (o < nearest.owned) nearest.owned = o;
    }
  }

  template <bool kFirst>
  HDETR_INLINE Nearest scan(int64_t target, double offset) {
    Nearest nearest;
    const int64_t whole = queries_ / 4 * 4;
    reach_from<Quad, kFirst>(target, offset, 0, whole, nearest);
    reach_from<double, kFirst>(target, offset, whole, queries_, nearest);
    return nearest;
  }

  // Finds one more query for a target.
  HDETR_INLINE void extend(int64_t root) {
    int64_t scans = 0;
    m_.distance[root] = 0;
    m_.scanned[scans++] = root;
    Nearest nearest = scan<true>(root, -m_.dual[root]);
    while (nearest.owned.distance < nearest.free.distance) {
      const int64_t target = m_.owner[nearest.owned.query];
      m_.distance[target] = nearest.owned.distance;
      m_.through[target] = nearest.owned.query;
      m_.scanned[scans++] = target;
      for (int64_t k = 0; k < m_.count[target]; ++k) {
        m_.reach[m_.held[target * capacity_ + k]] = -kNever;
      }
      nearest = scan<false>(target, m_.distance[target] - m_.dual[target]);
    }
    update_duals(scans, nearest.free.distance);
    augment(root, nearest.free.query);
  }

  HDETR_INLINE void update_duals(int64_t scans, double end) {
    for (int64_t s = 0; s < scans; ++s) {
      const int64_t target = m_.scanned[s];
      const double rise = end - m_.distance[target];
      m_.dual[target] += rise;
      for (int64_t k = 0; k < m_.count[target]; ++k) {
        m_.price[m_.held[target * capacity_ + k]] -= rise;
      }
    }
  }

  // Hands queries on along the path that ends at a free one.
  HDETR_INLINE void augment(int64_t root, int64_t query) {
    while (true) {
      const int64_t target = m_.from[query];
      int64_t* const held = m_.held + target * capacity_;
      m_.owner[query] = target;
      if (target == root) {
        held[m_.count[target]++] = query;
        return;
      }
      const int64_t given = m_.through[target];
      int64_t k = 0;
      while (held[k] != given) ++k;
      held[k] = query;
      query = given;
    }
  }

  const Costs costs_;
  const int64_t targets_, queries_, capacity_;
  const AssignmentMemory m_;
};

}  // namespace hdetr
