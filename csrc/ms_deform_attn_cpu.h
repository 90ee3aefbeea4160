// Multi-scale deformable attention on the CPU: kernels on raw pointers, cut into tasks.
//
// Every task writes memory of its own and adds in an order of its own, so that the results are the
// same to the bit however the tasks are spread over threads.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn.h"

namespace hdetr {

// All arrays are contiguous. Real is double for double values, else float; values, outputs and
// weights may have 16 bits where Real is float.

// Where the points lie and what they weigh, as it is given.
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

// `Points` is GivenPoints, or says by other arrays where the points are
// (ms_deform_attn_fused_cpu.h).
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
  Array grad_value;  // zeros
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

// Bits of the vectors that the kernels use on this processor.
int64_t vector_bits();

}  // namespace hdetr
