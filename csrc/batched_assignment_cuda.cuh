// Teams of threads that solve assignment problems: a warp or a block.
#pragma once

#include <cuda_runtime.h>

#include "batched_assignment.h"
#include "batched_assignment_cuda_row.cuh"
#include "cuda_warp.cuh"

namespace hdetr::cuda {

// ---- cooperating threads

template <class Word>
__device__ __forceinline__ Word of_lane_across(const Word& word, int flipped) {
  return __shfl_xor_sync(kAllLanes, word, flipped);
}

__device__ __forceinline__ Candidate<int> of_lane_across(const Candidate<int>& candidate,
                                                         int flipped) {
  return {of_lane_across(candidate.distance, flipped), of_lane_across(candidate.column, flipped),
          of_lane_across(candidate.slot, flipped)};
}

// A block consisting of one warp, without block synchronisation.
struct WarpThreads {
  __device__ __forceinline__ int rank() const { return threadIdx.x; }
  __device__ __forceinline__ int size() const { return kWarp; }
  __device__ __forceinline__ void sync() const { __syncwarp(); }

  // The minimum over the threads. All of them receive it, and wait for each other.
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

// In shared memory. Two buffers alternate: one is written while the other may still be read.
template <int kThreads>
struct Exchange {
  Candidate<int> of_warp[2][kThreads / kWarp];  // the largest type that is exchanged
};

template <int kThreads>
class BlockThreads {
 public:
  explicit __device__ __forceinline__ BlockThreads(Exchange<kThreads>& exchange)
      : exchange_(exchange) {}
  __device__ __forceinline__ int rank() const { return threadIdx.x; }
  __device__ __forceinline__ int size() const { return kThreads; }
  __device__ __forceinline__ void sync() const { __syncthreads(); }

  template <class Value>
  __device__ __forceinline__ Value least(const Value& value) {
    return least_of_warps(WarpThreads{}.least(value));
  }

  // The same for values that are uniform within warps.
  template <class Value>
  __device__ __forceinline__ Value least_of_warps(Value value) {
    static_assert(sizeof(Value) <= sizeof(Candidate<int>));
    turn_ = 1 - turn_;
    auto* const of_warp = reinterpret_cast<Value*>(exchange_.of_warp[turn_]);
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < kThreads / kWarp; ++warp) {
      if (of_warp[warp] < value) value = of_warp[warp];
    }
    return value;
  }

 private:
  Exchange<kThreads>& exchange_;
  int turn_ = 0;
};

// A block, or only its first warp. This is decided on the device, because code for both would be
// twice as large: a kernel that runs once per step waits for its code to be fetched.
template <int kThreads>
class WarpOrBlock {
 public:
  __device__ __forceinline__ WarpOrBlock(Exchange<kThreads>& exchange, bool alone)
      : block_(exchange), alone_(alone) {}
  __device__ __forceinline__ int rank() const { return threadIdx.x; }
  __device__ __forceinline__ int size() const { return alone_ ? kWarp : kThreads; }
  __device__ __forceinline__ void sync() const {
    if (alone_) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }

  template <class Value>
  __device__ __forceinline__ Value least(Value value) {
    value = WarpThreads{}.least(value);
    return alone_ ? value : block_.least_of_warps(value);
  }

 private:
  BlockThreads<kThreads> block_;
  const bool alone_;
};

// ---- a team, as required by `AssignmentSolver`

template <class Threads>
class CudaTeam {
 public:
  using Index = int;
  using Listed = Key;  // includes the cost, which avoids waiting for distant memory
  static constexpr bool kStartsTogether = true;
  template <class Number>
  using IndicesOf = int;

  // `taken` and `contested` have one bit per column.
  __device__ __forceinline__ CudaTeam(Threads& threads, const PricedCosts& costs, unsigned* taken,
                                      unsigned* contested, int list_size)
      : threads_(threads),
        costs_(costs),
        taken_(taken),
        contested_(contested),
        list_size_(list_size) {}

  __device__ __forceinline__ double at(int target, int column) const {
    return costs_.at(target, column);
  }
  __device__ __forceinline__ int column_of(Key key) const { return cuda::column_of(key); }
  __device__ __forceinline__ double cost_of(int, Key key) const {
    return costs_.counted(cuda::cost_of(key));
  }

  template <class Body>
  __device__ __forceinline__ void for_each(int count, const Body& body) const {
#pragma unroll 1
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

  __device__ __forceinline__ void take(int column) { set(taken_, column); }
  __device__ __forceinline__ bool is_taken(int column) const { return is_set(taken_, column); }
  __device__ __forceinline__ void want(int column) {
    if (set(taken_, column) & bit_of(column)) set(contested_, column);
  }
  __device__ __forceinline__ bool is_contested(int column) const {
    return is_set(contested_, column);
  }
  __device__ __forceinline__ void give_up(int column) {
    atomicAnd(taken_ + column / kWarp, ~bit_of(column));
  }

  // The lists exist already.
  __device__ __forceinline__ int find_cheapest(int, const Key*) const { return list_size_; }
  __device__ __forceinline__ int find_free(int target, Key* list) {
    const Row row{costs_.costs + target * costs_.queries, int(costs_.queries), int(costs_.columns)};
    const auto is_free = [&](int column) { return !is_taken(column); };
    Key first = 0;
    const int found = list_cheapest(threads_, row, is_free, list_size_, list, first);
    sync();
    return found;
  }

 private:
  __device__ __forceinline__ static unsigned bit_of(int column) { return 1u << column % kWarp; }
  // Returns the previous bits.
  __device__ __forceinline__ static unsigned set(unsigned* bits, int column) {
    return atomicOr(bits + column / kWarp, bit_of(column));
  }
  __device__ __forceinline__ static bool is_set(const unsigned* bits, int column) {
    return bits[column / kWarp] & bit_of(column);
  }

  Threads& threads_;
  const PricedCosts costs_;
  unsigned *const taken_, *const contested_;
  const int list_size_;
};

}  // namespace hdetr::cuda
