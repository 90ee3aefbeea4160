// Multi-scale deformable attention on the CPU: kernels on raw pointers, divided into tasks.
//
// Tasks write disjoint memory, and each adds in a fixed order, so that results are bitwise equal
// however the tasks are distributed over threads.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn.h"

namespace hdetr {

// All arrays are contiguous. Real is double for double values, otherwise float; values, outputs and
// weights may have 16 bits if Real is float.

// Locations and weights of sampling points, as given.
template <class Real_>
struct GivenPoints {
  using Real = Real_;
  struct Gradients {
    Real* locations;
    Array weights;
  };

  const Real* locations;  // [B, Q, M, L, P, 2]
  ConstArray weights;     // [B, Q, M, L, P]
};

// `Points` is GivenPoints, or describes the points by other arrays (ms_deform_attn_fused_cpu.h).
template <class Points_>
struct ForwardArguments {
  using Points = Points_;
  Sizes sizes;
  const Level<typename Points::Real>* levels;  // [L]
  ConstArray value;                            // [B, S, M, D]
  Points points;
  Array output;  // [B, Q, M, D]
};

template <class Points_>
struct BackwardArguments {
  using Points = Points_;
  Sizes sizes;
  const Level<typename Points::Real>* levels;
  ConstArray grad_output, value;
  Points points;
  Array grad_value;  // initially zero
  typename Points::Gradients gradients;
};

template <class Points>
int64_t count_tasks(const ForwardArguments<Points>& arguments);
template <class Points>
int64_t count_tasks(const BackwardArguments<Points>& arguments);

// Tasks [first, last).
template <class Points>
void run_tasks(const ForwardArguments<Points>& arguments, int64_t first, int64_t last);
template <class Points>
void run_tasks(const BackwardArguments<Points>& arguments, int64_t first, int64_t last);

// Width in bits of the vectors that the kernels use on this processor.
int64_t vector_bits();

}  // namespace hdetr
