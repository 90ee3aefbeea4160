// Optimal assignment on CUDA, in two kernels: one finds the cheapest queries of every target, using
// all multiprocessors; the other solves every problem, in a block or a warp.
#include <algorithm>
#include <utility>

#include "batched_assignment_cuda.cuh"
#include "batched_assignment_cuda.h"
#include "cuda_launch.cuh"

namespace hdetr::cuda {
namespace {

// Number of a target's cheapest queries that the first kernel finds beyond its capacity: a search
// rarely needs more, and otherwise looks for them itself.
constexpr int kSpare = 7;
// Threads per block; the wider blocks process the rows if some have more than `kNarrow` queries.
constexpr int kThreads = 128, kWideThreads = 512, kNarrow = 4096;
// Problems with up to this many pairs are solved by a warp, which needs no block synchronisation.
constexpr int kWarpPairs = 256;
// Per block. What does not fit is in global memory.
constexpr int64_t kSharedBytes = 44 * 1024;

// ---- the problems, as a parameter of the kernels

struct Entry {
  AssignmentEntry given;
  int list_size;
  int64_t first_problem, first_row;  // over all entries
  int64_t solver_bytes;              // per problem
  int64_t solver_offset;             // in the workspace; -1: all fit into shared memory
};

// What the first kernel finds out about a row, and the second one combines for a problem.
struct CostFacts {
  float lowest = INFINITY, minus_highest = INFINITY;  // of the allowed costs
  int none_forbidden = 1;

  __device__ __forceinline__ void add(float cost) {
    if (is_allowed(cost)) {
      lowest = min(lowest, cost);
      minus_highest = min(minus_highest, -cost);
    } else {
      none_forbidden = 0;
    }
  }
  __device__ __forceinline__ void add(const CostFacts& others) {
    lowest = min(lowest, others.lowest);
    minus_highest = min(minus_highest, others.minus_highest);
    none_forbidden = min(none_forbidden, others.none_forbidden);
  }
  // The combined findings of all threads.
  template <class Threads>
  __device__ __forceinline__ CostFacts together(Threads& threads) const {
    CostFacts all;
    all.lowest = threads.least(lowest);
    all.minus_highest = threads.least(minus_highest);
    all.none_forbidden = threads.least(none_forbidden);
    return all;
  }
  __device__ __forceinline__ bool any_allowed() const { return lowest <= -minus_highest; }
};

struct Launch {
  int count;
  int64_t images;
  const int64_t* num_targets;
  CostFacts* facts;  // [all rows]
  Key* lists;        // entry by entry, [rows, list_size]
  char* solvers;
  Entry entries[kMaxEntries];
};

struct Place {
  const Entry* entry;
  int64_t index, list;  // of the problem or row within its entry; start of the entry's lists
};

// One of all problems, or of all rows.
template <int64_t Entry::* kFirst>
__device__ __forceinline__ Place find(const Launch& launch, int64_t index) {
  int i = 0;
  int64_t list = 0;
  for (; i + 1 < launch.count && launch.entries[i + 1].*kFirst <= index; ++i) {
    const Entry& entry = launch.entries[i];
    list += int64_t(entry.given.problems) * entry.given.rows * entry.list_size;
  }
  return {&launch.entries[i], index - launch.entries[i].*kFirst, list};
}

// One problem.
struct Problem {
  const float* costs;
  int targets, queries, capacity;

  __device__ __forceinline__ Problem(const Launch& launch, const Entry& entry, int64_t index) {
    const AssignmentEntry& given = entry.given;
    const int64_t count = launch.num_targets[index % launch.images];
    costs = given.costs + index * given.rows * given.queries;
    targets = int(max(int64_t{0}, min(count, int64_t{given.rows})));
    queries = given.queries;
    capacity = min(given.capacity, given.queries);
  }

  __device__ __forceinline__ int pairs() const { return targets * capacity; }
  __device__ __forceinline__ int columns() const { return max(queries, pairs()); }
  __device__ __forceinline__ Row row(int target) const {
    return {costs + int64_t(target) * queries, queries, columns()};
  }

  // With prices if a pair is forbidden, or there are not enough queries.
  __device__ __forceinline__ PricedCosts priced(const CostFacts& facts) const {
    if (facts.none_forbidden && pairs() <= queries) {
      return {costs, queries, queries, 0.0, 0.0};
    }
    return PricedCosts::of(costs, targets, queries, capacity, facts.lowest, -facts.minus_highest);
  }
};

// ---- the first kernel

// One block per row.
template <int kSize>
__global__ void __launch_bounds__(kSize) sort_rows(const __grid_constant__ Launch launch) {
  __shared__ Exchange<kSize> exchange;
  const Place place = find<&Entry::first_row>(launch, blockIdx.x);
  const Entry& entry = *place.entry;
  const int target = int(place.index % entry.given.rows);
  const Problem problem(launch, entry, place.index / entry.given.rows);
  if (target >= problem.targets || problem.queries == 0) return;
  BlockThreads<kSize> threads(exchange);
  const Row row = problem.row(target);
  CostFacts mine;  // columns beyond the queries count as forbidden
  for_each_cost(threads, row, [&](float cost, int) { mine.add(cost); });
  const CostFacts facts = mine.together(threads);
  if (threads.rank() == 0) launch.facts[blockIdx.x] = facts;

  // Which columns exist, and their order, does not depend on prices.
  Key* const list = launch.lists + place.list + place.index * entry.list_size;
  const int size = min(entry.list_size, row.columns);
  const auto any = [](int) { return true; };
  Key first = 0;
  for (int k = 0; k < size;) k += list_cheapest(threads, row, any, size - k, list + k, first);
  for (int k = size + threads.rank(); k < entry.list_size; k += kSize) list[k] = kLastKey;
}

// ---- the second kernel

// The memory of a problem being solved, divided from one block of memory.
struct Solver {
  AssignmentMemory<int, Key> memory;
  unsigned *taken, *contested;

  // Returns how many bytes are used of `from`, which may be null.
  __host__ __device__ int64_t cut(char* from, int64_t targets, int64_t pairs, int64_t columns,
                                  int64_t list_size) {
    int64_t bytes = 0;
    const auto take = [&](auto*& array, int64_t size) {
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(from + bytes);
      bytes += size * int64_t(sizeof *array);
    };
    take(memory.dual, targets);
    take(memory.distance, targets);
    take(memory.price, pairs);
    take(memory.reach, pairs);
    take(memory.list, targets * list_size);
    take(memory.count, targets);
    take(memory.through, targets);
    take(memory.scanned, targets);
    take(memory.listed, targets);
    take(memory.next, targets);
    take(memory.column, pairs);
    take(memory.owner, pairs);
    take(memory.from, pairs);
    take(taken, divide_up(columns, kWarp));
    take(contested, divide_up(columns, kWarp));
    memory.list_size = int(list_size);
    return divide_up(bytes, 8) * 8;
  }
};

template <class Threads>
__device__ __forceinline__ CostFacts facts_of(Threads& threads, const Launch& launch,
                                              const Place& place, int targets) {
  const int64_t first = place.entry->first_row + place.index * place.entry->given.rows;
  CostFacts mine;
  for (int i = threads.rank(); i < targets; i += threads.size()) mine.add(launch.facts[first + i]);
  return mine.together(threads);
}

template <class Threads>
__device__ __forceinline__ void solve(Threads& threads, const Launch& launch, const Place& place,
                                      const Problem& problem, char* scratch) {
  const AssignmentEntry& given = place.entry->given;
  int64_t* const answer = given.answer + place.index * given.queries;
  for (int j = threads.rank(); j < given.queries; j += threads.size()) answer[j] = kNobody;
  if (problem.targets == 0 || given.queries == 0) return;
  const CostFacts facts = facts_of(threads, launch, place, problem.targets);
  if (!facts.any_allowed()) return;

  const PricedCosts costs = problem.priced(facts);
  const int pairs = problem.pairs(), columns = problem.columns();
  const int list_size = place.entry->list_size;
  Solver solver;
  solver.cut(scratch, problem.targets, pairs, columns, list_size);
  CudaTeam<Threads> team(threads, costs, solver.taken, solver.contested, min(list_size, columns));
  const Key* const lists = launch.lists + place.list + place.index * given.rows * list_size;
#pragma unroll 8  // this many loads are in flight at once
  for (int k = threads.rank(); k < problem.targets * list_size; k += threads.size()) {
    solver.memory.list[k] = read_only(lists + k);
  }
  team.for_each(int(divide_up(columns, kWarp)),
                [&](int k) { solver.taken[k] = solver.contested[k] = 0; });
  team.sync();
  AssignmentSolver(team, problem.targets, problem.capacity, solver.memory).solve();
  team.for_each(pairs, [&](int slot) {
    const int owner = solver.memory.owner[slot], column = solver.memory.column[slot];
    if (costs.allows(owner, column)) answer[column] = owner;
  });
}

// One warp per problem, if all are small.
__global__ void __launch_bounds__(kWarp, 1)
    solve_small_problems(const __grid_constant__ Launch launch) {
  __shared__ double shared[kSharedBytes / sizeof(double)];
  const Place place = find<&Entry::first_problem>(launch, blockIdx.x);
  const Problem problem(launch, *place.entry, place.index);
  WarpThreads threads;
  solve(threads, launch, place, problem, reinterpret_cast<char*>(shared));
}

// One block per problem. There are few, so none needs to share its registers. `solve` is called in
// one place, whatever memory is used, because it is most of the code.
__global__ void __launch_bounds__(kThreads, 1)
    solve_problems(const __grid_constant__ Launch launch) {
  __shared__ Exchange<kThreads> exchange;
  __shared__ double shared[kSharedBytes / sizeof(double)];
  const Place place = find<&Entry::first_problem>(launch, blockIdx.x);
  const Entry& entry = *place.entry;
  const Problem problem(launch, entry, place.index);
  const int64_t bytes =
      Solver{}.cut(nullptr, problem.targets, problem.pairs(), problem.columns(), entry.list_size);
  const bool fits = bytes <= kSharedBytes, alone = fits && problem.pairs() <= kWarpPairs;
  if (alone && threadIdx.x >= kWarp) return;
  char* const global = launch.solvers + entry.solver_offset + place.index * entry.solver_bytes;
  WarpOrBlock<kThreads> threads(exchange, alone);
  solve(threads, launch, place, problem, fits ? reinterpret_cast<char*>(shared) : global);
}

// ---- on the host

int64_t aligned(int64_t bytes) { return divide_up(bytes, 256) * 256; }

// The workspace contains the facts, the lists, and the memory of solvers that need global memory.
struct Plan {
  Launch launch{};
  int64_t problems = 0, rows = 0, lists = 0, solver_bytes = 0;
  int widest = 0;  // queries of a row
  bool all_small = true;

  explicit Plan(const std::vector<AssignmentEntry>& entries) {
    launch.count = int(entries.size());
    std::transform(entries.begin(), entries.end(), launch.entries,
                   [&](const auto& entry) { return place(entry); });
  }

  int64_t lists_offset() const { return aligned(rows * int64_t(sizeof(CostFacts))); }
  int64_t solvers_offset() const { return lists_offset() + aligned(lists * int64_t(sizeof(Key))); }
  int64_t bytes() const { return solvers_offset() + solver_bytes; }

 private:
  Entry place(const AssignmentEntry& given) {
    const int64_t capacity = std::min(given.capacity, given.queries);
    const int64_t pairs = given.rows * capacity, columns = std::max<int64_t>(given.queries, pairs);
    Entry entry{given, int(std::min(capacity + kSpare, columns)), problems, rows, 0, -1};
    entry.solver_bytes = Solver{}.cut(nullptr, given.rows, pairs, columns, entry.list_size);
    if (entry.solver_bytes > kSharedBytes) {
      entry.solver_offset = solver_bytes;
      solver_bytes += given.problems * entry.solver_bytes;
    }
    problems += given.problems;
    rows += int64_t(given.problems) * given.rows;
    lists += int64_t(given.problems) * given.rows * entry.list_size;
    widest = std::max(widest, given.queries);
    all_small &= entry.solver_offset < 0 && pairs <= kWarpPairs;
    return entry;
  }
};

// The longest problems first: blocks are started in this order.
std::vector<AssignmentEntry> longest_first(std::vector<AssignmentEntry> entries) {
  const auto work = [](const AssignmentEntry& entry) {
    return std::pair{int64_t(entry.rows) * entry.capacity, entry.queries};
  };
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const auto& a, const auto& b) { return work(a) > work(b); });
  return entries;
}

}  // namespace

int64_t assignment_workspace_bytes(const std::vector<AssignmentEntry>& entries) {
  return Plan(longest_first(entries)).bytes();
}

cudaError_t launch_batched_assignment(const std::vector<AssignmentEntry>& entries,
                                      const int64_t* num_targets, int64_t images, void* workspace,
                                      cudaStream_t stream) {
  Plan plan(longest_first(entries));
  char* const memory = static_cast<char*>(workspace);
  plan.launch.images = images;
  plan.launch.num_targets = num_targets;
  plan.launch.facts = reinterpret_cast<CostFacts*>(memory);
  plan.launch.lists = reinterpret_cast<Key*>(memory + plan.lists_offset());
  plan.launch.solvers = memory + plan.solvers_offset();
  const auto run = [&](auto* kernel, int64_t blocks, int threads) {
    if (blocks == 0) return cudaSuccess;
    return launch(kernel, dim3(unsigned(blocks)), threads, stream, plan.launch);
  };
  const cudaError_t error = plan.widest > kNarrow
                                ? run(sort_rows<kWideThreads>, plan.rows, kWideThreads)
                                : run(sort_rows<kThreads>, plan.rows, kThreads);
  if (error != cudaSuccess) return error;
  return plan.all_small ? run(solve_small_problems, plan.problems, kWarp)
                        : run(solve_problems, plan.problems, kThreads);
}

}  // namespace hdetr::cuda
