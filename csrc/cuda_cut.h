// How a launch is cut.
#pragma once

#include <cstdint>

namespace hdetr::cuda {

constexpr int kMostThreads = 256;  // of a block

// It is all the same to the results.
struct Cut {
  int threads = kMostThreads;  // of a block: a multiple of 32
  int blocks = INT32_MAX;      // in every dimension of the grid, at most
};

}  // namespace hdetr::cuda
