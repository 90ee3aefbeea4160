// Optimal assignment on the CPU: one problem on raw pointers.
#pragma once

#include <cstdint>

namespace hdetr {

struct AssignmentProblem {
  const float* costs;  // [targets, queries]
  int64_t targets, queries, capacity;
  int64_t* answer;  // [queries]: the target of each, or -1
};

// Optional, per target and query: a certificate that the result is optimal.
struct AssignmentDuals {
  double* targets;
  double* queries;
};

void solve_assignment(const AssignmentProblem& problem, const AssignmentDuals* duals = nullptr);

// Estimated time of a solution, in tenths of a nanosecond.
int64_t estimate_work(const AssignmentProblem& problem);

}  // namespace hdetr
