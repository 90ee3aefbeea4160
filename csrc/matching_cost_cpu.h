// Matching costs on the CPU: kernels on raw pointers, divided into tasks that write disjoint costs.
#pragma once

#include <cstdint>

#include "matching_cost.h"

namespace hdetr {

int64_t count_tasks(const MatchingArguments& arguments);

// Tasks [first, last).
void run_tasks(const MatchingArguments& arguments, int64_t first, int64_t last);

}  // namespace hdetr
