// Random cases for kernels that are compiled with sanitizers.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

using Random = std::mt19937;

// first to last, both included.
inline int64_t draw(Random& random, int64_t first, int64_t last) {
  return std::uniform_int_distribution<int64_t>(first, last)(random);
}

// Checks each seed from the first argument to the one before the second; the status of the program.
template <class Check>
int run_seeds(int count, char** arguments, const Check& check) {
  if (count != 3) return 2;
  const int first = std::atoi(arguments[1]), last = std::atoi(arguments[2]);
  for (int seed = first; seed < last; ++seed) {
    Random random(seed);
    if (check(random)) continue;
    std::printf("seed %d\n", seed);
    return 1;
  }
  std::printf("%d cases\n", last - first);
  return 0;
}
