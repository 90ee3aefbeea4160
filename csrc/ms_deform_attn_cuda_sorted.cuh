// Sums the terms of the value's gradient within a block before they leave it, for neighbouring
// queries, whose samples share cells. In every round the block's terms are sorted by cell, and each
// team of lanes sums an equal part of them; a cell's sum is written once, or once per team that has
// a part of it.
#pragma once

#include "ms_deform_attn_cuda.cuh"
#include "ms_deform_attn_cuda_sums.cuh"

namespace hdetr::cuda {

constexpr int kPairBits = 8;  // pairs of a block
constexpr int64_t kMaxSortedCells = int64_t(1) << (32 - kPairBits);
static_assert(kMaxBackwardThreads <= 1 << kPairBits);

// The contribution of a query-head pair to a cell is the gradient of its output times the weight.
template <class Real>
struct alignas(2 * sizeof(Real)) Term {
  uint32_t cell_and_pair;  // the pair in the last bits: its team in the block
  Real share;
};

// In the shared memory of a block.
template <class Team, class Real>
struct SortedTerms {
  static constexpr int kPairs = kMaxBackwardThreads / Team::kLanes;
  static constexpr uint32_t kMost = kPairs * Team::kRound * kCorners;  // terms per round
  static constexpr uint32_t kFree = ~0u;
  static_assert((kMost & (kMost - 1)) == 0);

  // A hash table of the round's cells, with as many slots as there can be cells.
  uint32_t cells[kMost];   // kFree: none
  uint32_t places[kMost];  // number of terms of a cell; later the position of the first
  Term<Real> terms[kMost];
  uint32_t count;  // of terms
  // Rows are padded, so that lanes of different teams that read the same channels access different
  // banks.
  alignas(16) Real gradients[kPairs][Team::kChannels + Team::kLanes];

  __device__ __forceinline__ void clear_table() {
    for (uint32_t i = threadIdx.x; i < kMost; i += blockDim.x) {
      cells[i] = kFree;
      places[i] = 0;
    }
  }

  // The slot of a cell, which is allocated if it has none. There are never more cells than slots.
  __device__ __forceinline__ uint32_t slot_of(uint32_t cell) {
    uint32_t slot = cell * 2654435769u / (~0u / kMost + 1);  // the first bits are mixed best
    while (true) {
      const uint32_t found = atomicCAS(&cells[slot], kFree, cell);
      if (found == kFree || found == cell) return slot;
      slot = (slot + 1) % kMost;
    }
  }

  // Reserves `wanted` places, and returns the first. Called by every lane of the warp.
  __device__ __forceinline__ uint32_t reserve(uint32_t wanted) {
    const int lane = threadIdx.x % kWarp;
    uint32_t up_to_here = wanted;  // of previous lanes and this one
    for (int step = 1; step < kWarp; step *= 2) {
      const uint32_t earlier = __shfl_up_sync(kAllLanes, up_to_here, step);
      if (lane >= step) up_to_here += earlier;
    }
    uint32_t first = 0;
    if (lane == kWarp - 1) first = atomicAdd(&count, up_to_here);
    return __shfl_sync(kAllLanes, first, kWarp - 1) + up_to_here - wanted;
  }
};

template <class Team_, class Sums_>
struct Sorted {
  using Team = Team_;
  using Sums = Sums_;
  using Item = typename Sums::Item;
  using Real = typename Sums::Real;
  using Shared = SortedTerms<Team, Real>;
  static constexpr bool kAtOnce = false;

  const Layout<Real>& layout;
  const Sums& sums;
  Shared& shared;

  __device__ __forceinline__ void open() const { shared.clear_table(); }

  // Adds the contributions of the block's pairs in a round, each lane for its own sample.
  // `grad_value` points to the head in the image's first cell. Called by every thread of the block.
  __device__ __forceinline__ void add_round(const Corners<Real>& corners,
                                            const Real (&gradient)[Team::kVector],
                                            Item* grad_value) const {
    const bool owns_sample = corners.exist() && Team::lane() < Team::kRound;
    const auto has_term = [&](int i) { return owns_sample && corners.shares[i] != Real(0); };
    uint32_t slots[kCorners], ranks[kCorners];  // ranks: among the terms of a cell

    __syncthreads();  // The table is empty, and the terms of the previous round have been added.
    if (threadIdx.x == 0) shared.count = 0;
    store(shared.gradients[pair()] + Team::lane() * Team::kVector, gradient);
#pragma unroll
    for (int i = 0; i < kCorners; ++i) {
      if (!has_term(i)) continue;
      slots[i] = shared.slot_of(corners.cell_of(i));
      ranks[i] = atomicAdd(&shared.places[slots[i]], 1u);
    }
    __syncthreads();  // The terms of every cell have been counted.
    reserve_places(has_term, slots, ranks);
    __syncthreads();  // Every cell has its places.
#pragma unroll
    for (int i = 0; i < kCorners; ++i) {
      if (!has_term(i)) continue;
      shared.terms[shared.places[slots[i]] + ranks[i]] = {corners.cell_of(i) << kPairBits | pair(),
                                                          corners.shares[i]};
    }
    __syncthreads();  // The terms are in place, and the table is no longer needed.
    shared.clear_table();
    add_terms(grad_value);
  }

 private:
  static __device__ __forceinline__ uint32_t pair() { return threadIdx.x / Team::kLanes; }

  // Done for each cell by the thread with its first term, which also reads their number.
  template <class HasTerm>
  __device__ __forceinline__ void reserve_places(const HasTerm& has_term,
                                                 const uint32_t (&slots)[kCorners],
                                                 const uint32_t (&ranks)[kCorners]) const {
    uint32_t counts[kCorners] = {};
#pragma unroll
    for (int i = 0; i < kCorners; ++i) {
      if (has_term(i) && ranks[i] == 0) counts[i] = shared.places[slots[i]];
    }
    uint32_t place = shared.reserve(counts[0] + counts[1] + counts[2] + counts[3]);
#pragma unroll
    for (int i = 0; i < kCorners; ++i) {
      if (counts[i] == 0) continue;
      shared.places[slots[i]] = place;
      place += counts[i];
    }
  }

  // The i-th of the channels that a lane sums: adjacent ones if one addition takes them all,
  // otherwise such that an addition by neighbouring lanes has no gaps.
  static __device__ __forceinline__ int32_t channel(int i) {
    return Sums::kAddsVectors ? Team::lane() * Team::kVector + i : i * Team::kLanes + Team::lane();
  }

  __device__ __forceinline__ void load_gradient(const Term<Real>& term,
                                                Real (&gradient)[Team::kVector]) const {
    const Real* const row = shared.gradients[term.cell_and_pair % (1u << kPairBits)];
    if constexpr (Sums::kAddsVectors) {
      load_to(gradient, row + channel(0));
    } else {
#pragma unroll
      for (int i = 0; i < Team::kVector; ++i) gradient[i] = row[channel(i)];
    }
  }

  __device__ __forceinline__ void add_terms(Item* grad_value) const {
    const uint32_t teams = blockDim.x / Team::kLanes;
    // Odd, so that teams of a warp access different banks.
    const uint32_t part = ((shared.count + teams - 1) / teams) | 1;
    const uint32_t first = min(pair() * part, shared.count);
    const uint32_t last = min(first + part, shared.count);
    if (first == last) return;
    uint32_t cell = shared.terms[first].cell_and_pair >> kPairBits;
    Item items[Team::kVector] = {};
    for (uint32_t i = first; i < last; ++i) {
      const Term<Real> term = shared.terms[i];
      if (term.cell_and_pair >> kPairBits != cell) {
        add_cell(grad_value, cell, items);
        cell = term.cell_and_pair >> kPairBits;
        for (Item& item : items) item = Item(0);
      }
      Real gradient[Team::kVector];
      load_gradient(term, gradient);
#pragma unroll
      for (int j = 0; j < Team::kVector; ++j) items[j] += sums.item_of(term.share * gradient[j]);
    }
    add_cell(grad_value, cell, items);
  }

  __device__ __forceinline__ void add_cell(Item* grad_value, uint32_t cell,
                                           const Item (&items)[Team::kVector]) const {
    Item* const to = layout.in_cell(grad_value, cell);
    if constexpr (Sums::kAddsVectors) {
      if (channel(0) < layout.channels) sums.add(to + channel(0), items);
    } else {
#pragma unroll
      for (int i = 0; i < Team::kVector; ++i) {
        const Item item[1] = {items[i]};
        if (channel(i) < layout.channels) sums.add(to + channel(i), item);
      }
    }
  }
};

}  // namespace hdetr::cuda
