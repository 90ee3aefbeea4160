// Teams of threads that solve assignment problems: a warp, or a block.
#pragma once

#include <cuda_runtime.h>

#include "batched_assignment.h"
#include "cuda_warp.cuh"

namespace hdetr::cuda {

// ---- threads that work together

template <class Word>
__device__ __forceinline__ Word of_lane_across(const Word& word, int flipped) {
  return __shfl_xor_sync(kAllLanes, word, flipped);
}

__device__ __forceinline__ Candidate<int> of_lane_across(const Candidate<int>& candidate,
                                                         int flipped) {
  return {of_lane_across(candidate.distance, flipped), of_lane_across(candidate.column, flipped),
          of_lane_across(candidate.slot, flipped)};
}

struct WarpThreads {
  __device__ __forceinline__ int rank() const { return threadIdx.x % kWarp; }
  __device__ __forceinline__ int size() const { return kWarp; }
  __device__ __forceinline__ void sync() const { __syncwarp(); }

  // The least of what the threads have. All of them get it, and wait for one another.
  template <class Value>
  __device__ __forceinline__ Value least(Value value) const {
#pragma unroll
    for (int flipped = kWarp / 2; flipped > 0; flipped /= 2) {
      const Value other = of_lane_across(value, flipped);
      if (other < value) value = other;
    }
    __syncwarp();
    return value;
  }
};

constexpr int kBlockWarps = 4;
constexpr int kBlockThreads = kBlockWarps * kWarp;

// In shared memory. Two of them take turns: what is written to one was read before the other was.
struct Exchange {
  Candidate<int> of_warp[2][kBlockWarps];  // the largest of the values that are exchanged
};

class BlockThreads {
 public:
  explicit __device__ __forceinline__ BlockThreads(Exchange& exchange) : exchange_(exchange) {}
  __device__ __forceinline__ int rank() const { return threadIdx.x; }
  __device__ __forceinline__ int size() const { return kBlockThreads; }
  __device__ __forceinline__ void sync() const { __syncthreads(); }

  template <class Value>
  __device__ __forceinline__ Value least(Value value) {
    static_assert(sizeof(Value) <= sizeof(Candidate<int>));
    turn_ = 1 - turn_;
    value = WarpThreads{}.least(value);
    auto* const of_warp = reinterpret_cast<Value*>(exchange_.of_warp[turn_]);
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < kBlockWarps; ++warp) {
      if (of_warp[warp] < value) value = of_warp[warp];
    }
    return value;
  }

 private:
  Exchange& exchange_;
  int turn_ = 0;
};

// ---- the order of columns

// Smaller for a cheaper column, and for the first of equally cheap ones.
using Key = unsigned long long;
constexpr Key kLastKey = ~Key{0};

__device__ __forceinline__ Key key_of(const PricedCosts& costs, int row, int column) {
  unsigned rank = 0xffffffffu;  // after every cost that is allowed
  if (costs.allows(row, column)) {
    const unsigned bits = __float_as_uint(costs.costs[int64_t(row) * costs.queries + column] + 0.f);
    rank = bits >> 31 ? ~bits : bits | 0x80000000u;
  }
  return Key{rank} << 32 | unsigned(column);
}

__device__ __forceinline__ int column_of(Key key) { return int(unsigned(key)); }

// The least key of a row that is not before `first`, among the columns that `wanted` lets pass.
template <class Threads, class Wanted>
__device__ __forceinline__ Key least_key(Threads& threads, const PricedCosts& costs, int row,
                                         Key first, const Wanted& wanted) {
  Key least = kLastKey;
  for (int column = threads.rank(); column < costs.columns; column += threads.size()) {
    const Key key = key_of(costs, row, column);
    if (key >= first && key < least && wanted(column)) least = key;
  }
  return threads.least(least);
}

// ---- a team, as `AssignmentSolver` wants it

template <class Threads>
class CudaTeam {
 public:
  using Index = int;
  template <class Number>
  using IndicesOf = int;

  // `taken` has a bit for each column.
  __device__ __forceinline__ CudaTeam(Threads& threads, const PricedCosts& costs, unsigned* taken,
                                      int listed)
      : threads_(threads), costs_(costs), taken_(taken), listed_(listed) {}

  __device__ __forceinline__ double at(int target, int column) const {
    return costs_.at(target, column);
  }

  template <class Body>
  __device__ __forceinline__ void for_each(int count, const Body& body) const {
    for (int i = threads_.rank(); i < count; i += threads_.size()) body(i);
  }
  template <class Body>
  __device__ __forceinline__ void for_slots(int count, const Body& body) const {
    body(double{}, threads_.rank(), count, threads_.size());
  }
  template <class Value>
  __device__ __forceinline__ Value least(const Value& value) {
    return threads_.least(value);
  }
  __device__ __forceinline__ void sync() const { threads_.sync(); }
  __device__ __forceinline__ bool leads() const { return threads_.rank() == 0; }

  __device__ __forceinline__ void take(int column) {
    atomicOr(taken_ + column / kWarp, 1u << column % kWarp);
  }
  __device__ __forceinline__ bool is_taken(int column) const {
    return taken_[column / kWarp] >> column % kWarp & 1;
  }

  // The lists are there.
  __device__ __forceinline__ int find_cheapest(int, const int*) const { return listed_; }
  __device__ __forceinline__ int find_free(int target, int* list) {
    const Key key =
        least_key(threads_, costs_, target, 0, [&](int column) { return !is_taken(column); });
    if (leads()) list[0] = column_of(key);
    sync();
    return 1;
  }

 private:
  Threads& threads_;
  const PricedCosts costs_;
  unsigned* const taken_;
  const int listed_;
};

}  // namespace hdetr::cuda
