// Optimal assignment of queries to targets for one problem, by shortest augmenting paths.
//
// A target takes up to `capacity` queries, and a query belongs to at most one target. Rows of the
// cost matrix are targets, of which there are few; columns are queries. Among all assignments with
// the maximum number of pairs, the cheapest is found. The search for one more query of a target is
// Dijkstra's algorithm on reduced costs (Jonker and Volgenant, https://doi.org/10.1007/BF02278710),
// with two changes. First, a target is scanned only once, whichever of its queries it was reached
// by, and all of them are settled with it: where repeated rows would be scanned `capacity` times
// each, a search scans every target at most once. Second, a scan only looks at queries with an
// owner. The others have price zero, so the nearest of them is simply the cheapest, which is known
// from a short list per target; and since a query with an owner keeps having one, the list only
// gets shorter.
//
// Costs are float32, duals and distances float64: a sum of a few hundred costs is exact to about
// 1e-13 of the largest, far below the rounding of the costs themselves. Ties are decided by the
// index of the query.
//
// A problem is solved by a team of threads: one on the CPU, a warp or a block on CUDA. All of them
// execute the same steps, each for its share of the targets or queries; how they cooperate, and how
// they find the cheapest queries of a target, is up to the team. A team of several threads starts
// all targets at once that share none of their cheapest queries with others. The result is the
// same.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "number.h"

namespace hdetr {

inline constexpr float kLargestCost = 1e30f;  // beyond it a cost says "never", like inf and nan
inline constexpr double kNever = __builtin_huge_val();
inline constexpr int64_t kNobody = -1;

HDETR_INLINE bool is_allowed(float cost) { return cost <= kLargestCost && cost >= -kLargestCost; }

// Costs of a problem in which every target can get its queries if all pairs are allowed.
struct GivenCosts {
  const float* costs;
  int64_t columns;

  HDETR_INLINE bool allows(int64_t, int64_t) const { return true; }
  HDETR_INLINE double at(int64_t row, int64_t column) const {
    return costs[row * columns + column];
  }
};

// Costs of any other problem: with extra columns, so that every target can get its queries, and a
// price on those and on forbidden pairs that no saving elsewhere can outweigh. The cheapest
// solution then has the maximum number of allowed pairs.
struct PricedCosts {
  const float* costs;
  int64_t queries, columns;
  double lowest, price;

  // `lowest` and `highest` are those of the allowed costs. Relative to the lowest, the price, and
  // with it the rounding error, are as small as possible.
  HDETR_INLINE static PricedCosts of(const float* costs, int64_t targets, int64_t queries,
                                     int64_t capacity, double lowest, double highest) {
    const int64_t wanted = targets * capacity;
    const int64_t pairs = wanted < queries ? wanted : queries;
    const double span = highest > lowest ? highest - lowest : 1.0;
    return {costs, queries, wanted < queries ? queries : wanted, lowest, double(pairs + 1) * span};
  }

  HDETR_INLINE float given(int64_t row, int64_t column) const {
    return read_only(costs + row * queries + column);
  }
  HDETR_INLINE bool allows(int64_t row, int64_t column) const {
    return column < queries && is_allowed(given(row, column));
  }

  // The sort key of a row's columns. Different costs may become equal when the lowest is
  // subtracted.
  HDETR_INLINE double rank(int64_t row, int64_t column) const {
    return allows(row, column) ? given(row, column) : double(kLargestCost) * 2;
  }

  // The same including `allows`, but the cost is read once: on CUDA a search waits for it.
  HDETR_INLINE double at(int64_t row, int64_t column) const {
    return counted(column < queries ? given(row, column) : float(kNever));
  }
  HDETR_INLINE double counted(float cost) const { return is_allowed(cost) ? cost - lowest : price; }
};

// The memory of a solution. A query that has an owner occupies a slot, and keeps it.
template <class Index, class Listed>
struct AssignmentMemory {
  // Per target. Its list contains `listed` queries, and has room for `list_size`; those before
  // `next` have found an owner.
  double *dual, *distance;
  Listed* list;
  Index *count, *through, *scanned, *listed, *next;
  Index list_size;
  // Per slot.
  double *price, *reach;
  Index *column, *owner, *from;
};

// A query reached by a search.
template <class Index>
struct Candidate {
  double distance;
  Index column, slot;

  // The first one if they are equal.
  HDETR_INLINE bool operator<(const Candidate& other) const {
    return distance < other.distance || (distance == other.distance && column < other.column);
  }
};

// A Team has an Index, its Lanes of several numbers at once (a pack, or just double), and
//   at(target, column)               the cost
//   Listed                           an element of a list of queries
//   column_of(listed), cost_of(target, listed)
//   for_each(count, body)            body(i) in one thread for each i < count
//   for_slots(count, body)           body(Number, first, last, step) on a thread's fixed share of
//                                    the slots; step counts numbers
//   least(x)                         the minimum over the threads; all of them wait for it
//   sync(), leads()                  waits for all; whether this is the first thread
//   take(column), is_taken(column)   marks columns that have an owner
//   find_cheapest(target, list)      the cheapest columns in order, at least `capacity`; returns
//                                    how many, or 0 if a pair is forbidden although none may be
//   find_free(target, list)          at least one of the cheapest columns that are not taken;
//                                    written when no thread reads the list any more
//   kStartsTogether                  whether the lists of all targets exist from the start, and
//                                    the team also has:
//   want(column)                     takes it, or marks it as contested
//   is_contested(column)             whether several targets have wanted it
//   give_up(column)                  it is no longer taken
template <class Team>
class AssignmentSolver {
 public:
  using Index = typename Team::Index;
  using Listed = typename Team::Listed;
  using Memory = AssignmentMemory<Index, Listed>;

  HDETR_KERNEL_INLINE AssignmentSolver(Team& team, Index targets, Index capacity,
                                       const Memory& memory)
      : team_(team), targets_(targets), capacity_(capacity), m_(memory) {}

  // False if a pair is forbidden although none may be; then nothing is solved.
  HDETR_KERNEL_INLINE bool solve() {
    if constexpr (Team::kStartsTogether) start_together();
    for (Index i = 0; i < targets_; ++i) {
      if (Team::kStartsTogether && m_.count[i] > 0) continue;
      if (!start(i)) return false;
    }
    for (Index i = 0; i < targets_; ++i) {
      for (Index k = m_.count[i]; k < capacity_; ++k) extend(i);
    }
    return true;
  }

 private:
  using Candidate = hdetr::Candidate<Index>;
  static constexpr Index kNowhere = -1;

  // Gives a target its cheapest queries, up to the first one that another target owns. Its dual is
  // the cost of the first query it does not get, or of the last one it gets, and the price of a
  // query its cost minus the dual: no pair has a negative reduced cost, and that of new pairs is
  // zero.
  HDETR_KERNEL_INLINE bool start(Index target) {
    Listed* const list = list_of(target);
    const Index listed = team_.find_cheapest(target, list);
    if (listed == 0) return false;
    Index count = capacity_;
    team_.for_each(capacity_, [&](Index k) HDETR_INLINE_LAMBDA {
      if (k < count && team_.is_taken(team_.column_of(list[k]))) count = k;
    });
    count = team_.least(count);
    const double dual = start_dual(target, count);
    team_.for_each(count, [&](Index k) HDETR_INLINE_LAMBDA { give(size_, target, k, dual); });
    if (team_.leads()) note_start(target, count, listed, dual);
    size_ += count;
    team_.sync();
    return true;
  }

  // Starts all targets at once whose cheapest queries are not among those of another target: they
  // would get the same queries alone, and in any order. The others have a count of zero.
  HDETR_KERNEL_INLINE void start_together() {
    const auto wanted = [&](Index target, Index k)
                            HDETR_INLINE_LAMBDA { return team_.column_of(list_of(target)[k]); };
    team_.for_each(targets_, [&](Index i) HDETR_INLINE_LAMBDA {
      for (Index k = 0; k < capacity_; ++k) team_.want(wanted(i, k));
    });
    team_.sync();
    team_.for_each(targets_, [&](Index i) HDETR_INLINE_LAMBDA {
      bool contested = false;
      for (Index k = 0; k < capacity_; ++k) contested |= team_.is_contested(wanted(i, k));
      m_.count[i] = contested ? 0 : capacity_;
    });
    team_.sync();
    team_.for_each(targets_, [&](Index i) HDETR_INLINE_LAMBDA {
      if (m_.count[i] == 0) {
        for (Index k = 0; k < capacity_; ++k) team_.give_up(wanted(i, k));
        return;
      }
      const Index first_slot = count_before(i);
      const double dual = start_dual(i, capacity_);
      for (Index k = 0; k < capacity_; ++k) give(first_slot, i, k, dual);
      note_start(i, capacity_, team_.find_cheapest(i, list_of(i)), dual);
    });
    size_ = count_before(targets_);
    team_.sync();
  }

  HDETR_KERNEL_INLINE Listed* list_of(Index target) const {
    return m_.list + target * m_.list_size;
  }

  HDETR_KERNEL_INLINE Index count_before(Index target) const {
    Index sum = 0;
    for (Index i = 0; i < target; ++i) sum += m_.count[i];
    return sum;
  }

  // The cost of the most expensive query that a target gets, or of the first that it does not get.
  HDETR_KERNEL_INLINE double start_dual(Index target, Index count) const {
    return team_.cost_of(target, list_of(target)[count < capacity_ ? count : capacity_ - 1]);
  }

  HDETR_KERNEL_INLINE void give(Index first_slot, Index target, Index k, double dual) {
    const Listed listed = list_of(target)[k];
    fill(first_slot + k, team_.column_of(listed), target, team_.cost_of(target, listed) - dual);
  }

  HDETR_KERNEL_INLINE void note_start(Index target, Index count, Index listed, double dual) {
    m_.dual[target] = dual;
    m_.distance[target] = 0;
    m_.count[target] = count;
    m_.listed[target] = listed;
    m_.next[target] = count;
  }

  HDETR_KERNEL_INLINE void fill(Index slot, Index column, Index owner, double price) {
    m_.column[slot] = column;
    m_.owner[slot] = owner;
    m_.price[slot] = price;
    team_.take(column);
  }

  // Finds one more query for a target.
  HDETR_KERNEL_INLINE void extend(Index root) {
    Index scans = 0, target = root, nearest_from = root;
    double distance = 0;
    Candidate free{kNever, 0, kNowhere}, owned{kNever, 0, kNowhere};
    do {
      if (team_.leads()) note(scans, target, distance, owned.slot);
      const double offset = distance - m_.dual[target];
      const Index place = find_next_free(target);
      const Listed listed = list_of(target)[place];
      const Candidate offer{team_.cost_of(target, listed) + offset, team_.column_of(listed),
                            kNowhere};
      if (offer < free) {
        free = offer;
        nearest_from = target;
      }
      owned = scans++ == 0 ? scan<true>(target, offset) : scan<false>(target, offset);
      if (team_.leads()) m_.next[target] = place;
      distance = owned.distance;
      if (!(distance < free.distance)) break;
      target = m_.owner[owned.slot];
    } while (true);
    update_duals(scans, free.distance);
    team_.sync();
    if (team_.leads()) augment(root, nearest_from, free.column);
    ++size_;
    team_.sync();
  }

  HDETR_KERNEL_INLINE void note(Index scans, Index target, double distance, Index through) {
    m_.scanned[scans] = target;
    m_.distance[target] = distance;
    m_.through[target] = through;
  }

  // The position, in its list, of a target's cheapest query without an owner.
  HDETR_KERNEL_INLINE Index find_next_free(Index target) {
    Listed* const list = list_of(target);
    const Index listed = m_.listed[target];
    Index place = m_.next[target];
    while (place < listed && team_.is_taken(team_.column_of(list[place]))) ++place;
    if (place < listed) return place;
    const Index found = team_.find_free(target, list);
    if (team_.leads()) m_.listed[target] = found;
    return 0;
  }

  // Relaxes the queries of other targets from a target at `offset`, its distance minus its dual,
  // and settles its own. Returns the nearest unsettled query.
  template <bool kFirst>
  HDETR_KERNEL_INLINE Candidate scan(Index target, double offset) {
    Candidate nearest{kNever, 0, kNowhere};
    team_.for_slots(
        size_, [&](auto number, Index first, Index last, Index step) HDETR_INLINE_LAMBDA {
          using Number = decltype(number);
          const Candidate next = reach<Number, kFirst>(target, offset, first, last, step);
          if (next < nearest) nearest = next;
        });
    return team_.least(nearest);
  }

  // As wide as the numbers: a mask of numbers selects among indices.
  template <class Number>
  using Indices = typename Team::template IndicesOf<Number>;

  template <class Number, bool kFirst>
  HDETR_KERNEL_INLINE Candidate reach(Index target, double offset, Index first, Index last,
                                      Index step) const {
    const Number never = Number{} + kNever;
    const Indices<Number> us = Indices<Number>{} + target;
    Number least = never;
    Indices<Number> column{}, slot{};
    Indices<Number> place = places<Number>(first);
    for (Index s = first; s < last; s += step, place += step) {
      const auto here = read<Indices<Number>>(m_.column + s);
      const Number cost = picked<Number>(
          here, [&](Index column) HDETR_INLINE_LAMBDA { return team_.at(target, column); });
      Number reach = cost + offset - read<Number>(m_.price + s);
      auto from = us;
      const auto owner = read<Indices<Number>>(m_.owner + s);
      if constexpr (!kFirst) {
        const Number before = read<Number>(m_.reach + s);
        // Because of rounding, a query could otherwise seem nearer from its owner than from where
        // it was reached.
        const auto nearer = (reach < before) & (owner != us);
        reach = nearer ? reach : before;
        from = nearer ? us : read<Indices<Number>>(m_.from + s);
      }
      reach = owner == us ? -never : reach;
      write(m_.reach + s, reach);
      write(m_.from + s, from);
      const Number open = reach > -never ? reach : never;
      const auto nearest = (open < least) | ((open == least) & (here < column));
      least = nearest ? open : least;
      column = nearest ? here : column;
      slot = nearest ? place : slot;
    }
    return least_lane(least, column, slot);
  }

  HDETR_KERNEL_INLINE void update_duals(Index scans, double end) {
    team_.for_each(scans, [&](Index k) HDETR_INLINE_LAMBDA {
      const Index target = m_.scanned[k];
      m_.dual[target] += end - m_.distance[target];
    });
    team_.for_slots(size_,
                    [&](auto number, Index first, Index last, Index step) HDETR_INLINE_LAMBDA {
                      using Number = decltype(number);
                      for (Index s = first; s < last; s += step) lower_prices<Number>(s, end);
                    });
  }

  template <class Number>
  HDETR_KERNEL_INLINE void lower_prices(Index slot, double end) {
    const auto owner = read<Indices<Number>>(m_.owner + slot);
    const Number distance =
        picked<Number>(owner, [&](Index i) HDETR_INLINE_LAMBDA { return m_.distance[i]; });
    const auto settled = read<Number>(m_.reach + slot) == Number{} - kNever;
    const Number price = read<Number>(m_.price + slot);
    write(m_.price + slot, settled ? price - (end - distance) : price);
  }

  // Moves queries along the path that ends at a free one, which `target` takes.
  HDETR_KERNEL_INLINE void augment(Index root, Index target, Index column) {
    fill(size_, column, target, 0);
    while (target != root) {
      const Index given = m_.through[target];
      target = m_.from[given];
      m_.owner[given] = target;
    }
    ++m_.count[root];
  }

  // ---- one number, or a pack of them

  template <class Number>
  static constexpr int kLanes = sizeof(Number) / sizeof(double);

  template <class Values, class Element>
  HDETR_KERNEL_INLINE static Values read(const Element* from) {
    if constexpr (sizeof(Values) == sizeof(Element)) {
      return *from;
    } else {
      Values values;
      std::memcpy(&values, from, sizeof values);
      return values;
    }
  }

  template <class Values, class Element>
  HDETR_KERNEL_INLINE static void write(Element* to, const Values& values) {
    if constexpr (sizeof(Values) == sizeof(Element)) {
      *to = values;
    } else {
      std::memcpy(to, &values, sizeof values);
    }
  }

  template <class Number>
  HDETR_KERNEL_INLINE static Indices<Number> places(Index first) {
    Indices<Number> places{};
    if constexpr (kLanes<Number> == 1) {
      places = first;
    } else {
      for (int lane = 0; lane < kLanes<Number>; ++lane) places[lane] = first + lane;
    }
    return places;
  }

  // The numbers with these indices, one per lane.
  template <class Number, class Array>
  HDETR_KERNEL_INLINE static Number picked(const Indices<Number>& indices, const Array& array) {
    if constexpr (kLanes<Number> == 1) {
      return array(indices);
    } else {
      Number numbers{};
      for (int lane = 0; lane < kLanes<Number>; ++lane) numbers[lane] = array(indices[lane]);
      return numbers;
    }
  }

  template <class Number, class Integers>
  HDETR_KERNEL_INLINE static Candidate least_lane(const Number& distances, const Integers& columns,
                                                  const Integers& slots) {
    if constexpr (kLanes<Number> == 1) {
      return {distances, columns, slots};
    } else {
      Candidate best{kNever, 0, kNowhere};
      for (int lane = 0; lane < kLanes<Number>; ++lane) {
        const Candidate candidate{distances[lane], columns[lane], slots[lane]};
        if (candidate < best) best = candidate;
      }
      return best;
    }
  }

  Team& team_;
  const Index targets_, capacity_;
  Index size_ = 0;
  const Memory m_;
};

}  // namespace hdetr
