// How a launch is divided into blocks.
#pragma once

#include <cstdint>

namespace hdetr::cuda {

constexpr int kMostThreads = 256;  // per block

// Does not affect the results.
struct Cut {
  int threads = kMostThreads;  // per block: a multiple of 32
  int blocks = INT32_MAX;      // maximum in every dimension of the grid
};

}  // namespace hdetr::cuda
