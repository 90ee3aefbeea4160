#include "batched_assignment_cpu.h"

#include <algorithm>

#include "batched_assignment.h"
#include "batched_assignment_cpu_team.h"
#include "buffer.h"
#include "instruction_set.h"

namespace hdetr {
namespace {

// Number of a target's cheapest queries that are found at once: the longer a row, the more it pays
// to scan it less often.
int64_t list_size(int64_t capacity, int64_t columns) {
  return std::min(std::max(capacity, std::min<int64_t>(8, 1 + columns / 1024)), columns);
}

// Memory for a solution with this many columns.
class Scratch {
 public:
  Scratch(int64_t targets, int64_t columns, int64_t capacity)
      : reals_(2 * targets + 2 * targets * capacity + columns / kBlock + 1 +
               list_size(capacity, columns)),
        integers_(targets * (5 + list_size(capacity, columns)) + 3 * targets * capacity),
        taken_(columns) {
    double* real = reals_.get();
    int64_t* integer = integers_.get();
    const auto take = [](auto*& from, int64_t size) {
      auto* const taken = from;
      from += size;
      return taken;
    };
    memory.dual = take(real, targets);
    memory.distance = take(real, targets);
    memory.price = take(real, targets * capacity);
    memory.reach = take(real, targets * capacity);
    lone.least = take(real, columns / kBlock + 1);
    lone.cheapest = real;
    lone.taken = taken_.get();
    memory.count = take(integer, targets);
    memory.through = take(integer, targets);
    memory.scanned = take(integer, targets);
    memory.listed = take(integer, targets);
    memory.next = take(integer, targets);
    memory.column = take(integer, targets * capacity);
    memory.owner = take(integer, targets * capacity);
    memory.from = take(integer, targets * capacity);
    memory.list = integer;
    memory.list_size = list_size(capacity, columns);
  }

  AssignmentMemory<int64_t, int64_t> memory;
  LoneMemory lone;

 private:
  Buffer<double> reals_;
  Buffer<int64_t> integers_;
  Buffer<float> taken_;
};

#define HDETR_SOLVE(Costs, suffix, attribute)                                          \
  attribute bool solve_##suffix(const Costs& costs, int64_t targets, int64_t capacity, \
                                const Scratch& scratch) {                              \
    LoneTeam<Costs> team(costs, capacity, scratch.memory.list_size, scratch.lone);     \
    AssignmentSolver solver(team, targets, capacity, scratch.memory);                  \
    return solver.solve();                                                             \
  }
HDETR_SOLVE(GivenCosts, baseline, )
HDETR_SOLVE(GivenCosts, avx2, HDETR_AVX2)
HDETR_SOLVE(GivenCosts, avx512, HDETR_AVX512)
HDETR_SOLVE(PricedCosts, baseline, )
HDETR_SOLVE(PricedCosts, avx2, HDETR_AVX2)
HDETR_SOLVE(PricedCosts, avx512, HDETR_AVX512)
#undef HDETR_SOLVE

template <class Costs>
bool solve_with(const Costs& costs, int64_t targets, int64_t capacity, const Scratch& scratch) {
  using Solve = bool(const Costs&, int64_t, int64_t, const Scratch&);
  return choose<Solve*>(solve_baseline, solve_avx2, solve_avx512)(costs, targets, capacity,
                                                                  scratch);
}

// Solves the problem with these costs, and writes the allowed pairs. False if the result would be
// wrong, because a pair is forbidden that these costs cannot express.
template <class Costs>
bool solve(const AssignmentProblem& problem, const Costs& costs, int64_t capacity,
           const AssignmentDuals* duals) {
  const Scratch scratch(problem.targets, costs.columns, capacity);
  if (!solve_with(costs, problem.targets, capacity, scratch)) return false;
  const auto& m = scratch.memory;
  for (int64_t s = 0; s < problem.targets * capacity; ++s) {
    if (costs.allows(m.owner[s], m.column[s])) problem.answer[m.column[s]] = m.owner[s];
  }
  if (duals == nullptr) return true;
  std::copy_n(m.dual, problem.targets, duals->targets);
  std::fill_n(duals->queries, problem.queries, 0.0);
  for (int64_t s = 0; s < problem.targets * capacity; ++s) {
    if (m.column[s] < problem.queries) duals->queries[m.column[s]] = m.price[s];
  }
  return true;
}

struct Range {
  double lowest = kNever, highest = -kNever;
};

Range allowed_range(const AssignmentProblem& problem) {
  Range range;
  for (int64_t k = 0; k < problem.targets * problem.queries; ++k) {
    if (!is_allowed(problem.costs[k])) continue;
    range.lowest = std::min<double>(range.lowest, problem.costs[k]);
    range.highest = std::max<double>(range.highest, problem.costs[k]);
  }
  return range;
}

}  // namespace

void solve_assignment(const AssignmentProblem& problem, const AssignmentDuals* duals) {
  std::fill_n(problem.answer, problem.queries, kNobody);
  if (problem.targets == 0 || problem.queries == 0) return;
  const int64_t capacity = std::min(problem.capacity, problem.queries);
  if (problem.targets * capacity <= problem.queries) {
    const GivenCosts given{problem.costs, problem.queries};
    if (solve(problem, given, capacity, duals)) return;
  }
  const Range range = allowed_range(problem);
  if (!(range.lowest <= range.highest)) return;  // no pair is allowed
  solve(problem,
        PricedCosts::of(problem.costs, problem.targets, problem.queries, capacity, range.lowest,
                        range.highest),
        capacity, duals);
}

int64_t estimate_work(const AssignmentProblem& problem) {
  // One scan of the costs, and for each pair a search, which is usually short.
  const int64_t pairs = std::min(problem.targets * problem.capacity, problem.queries);
  return problem.targets * problem.queries + 600 * pairs;
}

}  // namespace hdetr
