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
template <class Real>
struct ForwardArguments {
  Sizes sizes;
  const Level<Real>* levels;  // [L]
  ConstArray value;           // [B, S, M, D]
  const Real* locations;      // [B, Q, M, L, P, 2]
  ConstArray weights;         // [B, Q, M, L, P]
  Array output;               // [B, Q, M, D]
};

template <class Real>
struct BackwardArguments {
  Sizes sizes;
  const Level<Real>* levels;
  ConstArray grad_output, value;
  const Real* locations;
  ConstArray weights;
  Array grad_value;  // zeros
  Real* grad_locations;
  Array grad_weights;
};

template <class Real>
int64_t count_tasks(const ForwardArguments<Real>& arguments);
template <class Real>
int64_t count_tasks(const BackwardArguments<Real>& arguments);

// Tasks [first, last).
template <class Real>
void run_tasks(const ForwardArguments<Real>& arguments, int64_t first, int64_t last);
template <class Real>
void run_tasks(const BackwardArguments<Real>& arguments, int64_t first, int64_t last);

// Bits of the vectors that the kernels use on this processor.
int64_t vector_bits();

}  // namespace hdetr
