#include "batched_assignment_cpu.h"

#include <algorithm>

#include "batched_assignment.h"
#include "buffer.h"
#include "instruction_set.h"

namespace hdetr {
namespace {

// Memory for a solution with so many columns.
class Scratch {
 public:
  Scratch(int64_t targets, int64_t columns, int64_t capacity)
      : reals_(2 * targets + 2 * columns + columns / kBlock + 1),
        integers_(3 * targets + targets * capacity + 2 * columns) {
    double* real = reals_.get();
    int64_t* integer = integers_.get();
    const auto take = [](auto*& from, int64_t size) {
      auto* const taken = from;
      from += size;
      return taken;
    };
    memory.dual = take(real, targets);
    memory.distance = take(real, targets);
    memory.price = take(real, columns);
    memory.reach = take(real, columns);
    memory.least = take(real, columns / kBlock + 1);
    memory.through = take(integer, targets);
    memory.count = take(integer, targets);
    memory.scanned = take(integer, targets);
    memory.held = take(integer, targets * capacity);
    memory.owner = take(integer, columns);
    memory.from = take(integer, columns);
  }

  AssignmentMemory memory;

 private:
  Buffer<double> reals_;
  Buffer<int64_t> integers_;
};

#define HDETR_SOLVE(Costs, suffix, attribute)                                          \
  attribute bool solve_##suffix(const Costs& costs, int64_t targets, int64_t capacity, \
                                const AssignmentMemory& m) {                           \
    return AssignmentSolver<Costs>(costs, targets, capacity, m).solve();               \
  }
HDETR_SOLVE(GivenCosts, baseline, )
HDETR_SOLVE(GivenCosts, avx2, HDETR_AVX2)
HDETR_SOLVE(GivenCosts, avx512, HDETR_AVX512)
HDETR_SOLVE(PricedCosts, baseline, )
HDETR_SOLVE(PricedCosts, avx2, HDETR_AVX2)
HDETR_SOLVE(PricedCosts, avx512, HDETR_AVX512)
#undef HDETR_SOLVE

template <class Costs>
bool solve(const Costs& costs, int64_t targets, int64_t capacity, const AssignmentMemory& memory) {
  switch (chosen_instruction_set()) {
    case InstructionSet::kAvx512:
      return solve_avx512(costs, targets, capacity, memory);
    case InstructionSet::kAvx2:
      return solve_avx2(costs, targets, capacity, memory);
    default:
      return solve_baseline(costs, targets, capacity, memory);
  }
}

void copy_duals(const AssignmentProblem& problem, const AssignmentMemory& memory,
                const AssignmentDuals* duals) {
  if (duals == nullptr) return;
  std::copy_n(memory.dual, problem.targets, duals->targets);
  std::copy_n(memory.price, problem.queries, duals->queries);
}

// False if the costs are not such that this finds the answer.
bool solve_given(const AssignmentProblem& problem, int64_t capacity, const AssignmentDuals* duals) {
  if (problem.targets * capacity > problem.queries) return false;
  const Scratch scratch(problem.targets, problem.queries, capacity);
  const GivenCosts costs{problem.costs, problem.queries};
  if (!solve(costs, problem.targets, capacity, scratch.memory)) return false;
  std::copy_n(scratch.memory.owner, problem.queries, problem.answer);
  copy_duals(problem, scratch.memory, duals);
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

// Any problem, at the price of a copy of its costs.
void solve_priced(const AssignmentProblem& problem, int64_t capacity,
                  const AssignmentDuals* duals) {
  const int64_t targets = problem.targets, queries = problem.queries;
  std::fill_n(problem.answer, queries, kNobody);
  const Range range = allowed_range(problem);
  if (!(range.lowest <= range.highest)) return;  // no pair is allowed
  const int64_t columns = std::max(queries, targets * capacity);
  const double span = range.highest > range.lowest ? range.highest - range.lowest : 1.0;
  const double price = double(std::min(targets * capacity, queries) + 1) * span;
  const Buffer<double> priced(targets * columns);
  std::fill_n(priced.get(), targets * columns, price);
  for (int64_t i = 0; i < targets; ++i) {
    for (int64_t j = 0; j < queries; ++j) {
      const float cost = problem.costs[i * queries + j];
      // Counted from the lowest, the price and with it the rounding are as small as they can be.
      if (is_allowed(cost)) priced.get()[i * columns + j] = cost - range.lowest;
    }
  }
  const Scratch scratch(targets, columns, capacity);
  solve(PricedCosts{priced.get(), columns}, targets, capacity, scratch.memory);
  for (int64_t j = 0; j < queries; ++j) {
    const int64_t owner = scratch.memory.owner[j];
    if (owner != kNobody && is_allowed(problem.costs[owner * queries + j])) {
      problem.answer[j] = owner;
    }
  }
  copy_duals(problem, scratch.memory, duals);
}

}  // namespace

void solve_assignment(const AssignmentProblem& problem, const AssignmentDuals* duals) {
  std::fill_n(problem.answer, problem.queries, kNobody);
  if (problem.targets == 0 || problem.queries == 0) return;
  const int64_t capacity = std::min(problem.capacity, problem.queries);
  if (!solve_given(problem, capacity, duals)) solve_priced(problem, capacity, duals);
}

int64_t estimate_work(const AssignmentProblem& problem) {
  // A scan of the costs, and for each pair a search, as a rule a short one.
  const int64_t pairs = std::min(problem.targets * problem.capacity, problem.queries);
  return 2 * problem.targets * problem.queries + 1500 * pairs;
}

}  // namespace hdetr
