// Random bits from a seed and a position, for any Word: independent of the order, the number of
// threads and the width of packs.
//
// Each chunk of positions derives a key from the seed (SplitMix64, Steele et al., 2014), with which
// each position is hashed: two rounds of multiplication and shifts, with constants of low bias.
// This is much cheaper than a generator for numerical simulations, and sufficient for dropout.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

inline constexpr int64_t kRandomChunk = 1024;  // positions

struct RandomKey {
  uint32_t first, second;

  HDETR_INLINE static RandomKey of_chunk(uint64_t seed, uint64_t chunk) {
    uint64_t key = seed + (chunk + 1) * 0x9e3779b97f4a7c15ull;
    key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ull;
    key = (key ^ (key >> 27)) * 0x94d049bb133111ebull;
    key ^= key >> 31;
    return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  }
};

// The bits for a position in the chunk. Word is uint32_t or a pack of them.
template <class Word>
HDETR_INLINE Word random_bits(const RandomKey& key, const Word& place) {
  Word bits = place ^ key.first;
  bits = (bits ^ (bits >> 16)) * 0x7feb352du ^ key.second;
  bits = (bits ^ (bits >> 15)) * 0x846ca68bu;
  return bits ^ (bits >> 16);
}

}  // namespace hdetr
