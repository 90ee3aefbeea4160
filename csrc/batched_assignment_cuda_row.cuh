// The cheapest columns of a row of costs, found by cooperating threads.
#pragma once

#include <cuda_runtime.h>

#include "batched_assignment.h"

namespace hdetr::cuda {

// The costs of a target. Columns beyond the queries are forbidden.
struct Row {
  const float* costs;  // [queries]
  int queries, columns;
};

// body(cost, column) for a thread's share of the columns. Several loads are in flight at once,
// because each takes hundreds of cycles.
template <class Threads, class Body>
__device__ __forceinline__ void for_each_cost(const Threads& threads, const Row& row,
                                              const Body& body) {
  constexpr int kAtOnce = 8;
  for (int first = threads.rank(); first < row.columns; first += kAtOnce * threads.size()) {
    float costs[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int column = first + k * threads.size();
      costs[k] = column < row.queries ? read_only(row.costs + column) : INFINITY;
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int column = first + k * threads.size();
      if (column < row.columns) body(costs[k], column);
    }
  }
}

// Smaller for cheaper columns, and in case of a tie for the first.
using Key = unsigned long long;
constexpr Key kLastKey = ~Key{0};

__device__ __forceinline__ Key key_of(float cost, int column) {
  const unsigned bits = __float_as_uint(cost + 0.f);  // -0 equals 0
  unsigned rank = 0xffffffffu;                        // after all allowed costs
  if (is_allowed(cost)) rank = bits >> 31 ? ~bits : bits | 0x80000000u;
  return Key{rank} << 32 | unsigned(column);
}

__device__ __forceinline__ int column_of(Key key) { return int(unsigned(key)); }

// Infinite if not allowed.
__device__ __forceinline__ float cost_of(Key key) {
  const unsigned rank = unsigned(key >> 32);
  if (rank == 0xffffffffu) return INFINITY;
  return __uint_as_float(rank >> 31 ? rank & 0x7fffffffu : ~rank);
}

// The smallest keys that a thread encounters, in order.
class FewKeys {
 public:
  __device__ __forceinline__ FewKeys() {
#pragma unroll
    for (Key& key : keys_) key = kLastKey;
  }
  __device__ __forceinline__ Key least() const { return keys_[0]; }
  __device__ __forceinline__ bool wants(Key key) const { return key < keys_[kKept - 1]; }
  __device__ __forceinline__ void insert(Key key) {
#pragma unroll
    for (Key& kept : keys_) {
      const Key less = min(kept, key);
      key = max(kept, key);
      kept = less;
    }
  }
  // If all were keys of columns, the last one stays, because the next is unknown.
  __device__ __forceinline__ void drop_least() {
#pragma unroll
    for (int k = 0; k + 1 < kKept; ++k) keys_[k] = keys_[k + 1];
  }

 private:
  static constexpr int kKept = 4;
  Key keys_[kKept];
};

// Lists the cheapest columns accepted by `wanted`, in order, starting at the key `first`, which is
// updated to where to continue. Returns their number, at most `most`: fewer if there are no more,
// or if a thread has used up all that it kept from one pass over the row, but then at least one.
template <class Threads, class Wanted>
__device__ __forceinline__ int list_cheapest(Threads& threads, const Row& row, const Wanted& wanted,
                                             int most, Key* list, Key& first) {
  FewKeys mine;
  for_each_cost(threads, row, [&](float cost, int column) {
    const Key key = key_of(cost, column);
    if (key >= first && mine.wants(key) && wanted(column)) mine.insert(key);
  });
  int count = 0;
  for (; count < most; ++count) {
    const Key key = threads.least(mine.least());
    if (key < first || key == kLastKey) break;  // a thread has run out, or there are no more
    if (key == mine.least()) {
      list[count] = key;
      mine.drop_least();
    }
    first = key + 1;
  }
  return count;
}

}  // namespace hdetr::cuda
