// Dropout on the CPU: a kernel on raw pointers, divided into tasks of some chunks of random bits
// each.
#pragma once

#include <cstdint>

#include "number.h"

namespace hdetr {

// The elements of one seed; both arrays are contiguous, and not of doubles.
struct DropoutArguments {
  int64_t size;
  uint64_t seed;
  uint32_t dropped;  // elements whose random bits are smaller are dropped
  float scale;       // of kept elements
  ConstArray from;
  Array to;
};

int64_t count_tasks(const DropoutArguments& arguments);

// Tasks [first, last).
void drop(const DropoutArguments& arguments, int64_t first, int64_t last);

}  // namespace hdetr
