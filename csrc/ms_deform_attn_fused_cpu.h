// Multi-scale deformable attention from the rows of its queries, on the CPU: the tasks of
// ms_deform_attn_cpu.h with points of another kind, and those that end the backward.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn.h"
#include "ms_deform_attn_cpu.h"
#include "ms_deform_attn_fused.h"

namespace hdetr {

// Where the points lie and what they weigh follows from a row of each query.
template <class Real_>
struct RowPoints {
  using Real = Real_;
  struct Gradients {
    Array rows;           // [B, Q, 3 * M * L * P], here of the offsets
    Real* weights;        // by the softmax: [M, L * P] of each query
    int64_t weights_row;  // from a query's to the next one's
    Real* locations;      // [B, Q, M, L, P, 2]; null if nobody asks for that by the reference
  };

  const Real* reference;  // [B, Q, L, 2], or of boxes [B, Q, L, 4]
  bool boxes;
  ConstArray rows;  // [B, Q, 3 * M * L * P]; may have 16 bits where Real is float

  HDETR_INLINE int64_t numbers() const { return boxes ? 4 : 2; }
};

// From the gradients by weights and locations to those by logits and by the reference.
template <class Real>
struct SoftmaxArguments {
  Sizes sizes;
  RowPoints<Real> points;
  typename RowPoints<Real>::Gradients gradients;
  Real* grad_reference;  // null as above
};

template <class Real>
int64_t count_tasks(const SoftmaxArguments<Real>& arguments);
template <class Real>
void run_tasks(const SoftmaxArguments<Real>& arguments, int64_t first, int64_t last);

}  // namespace hdetr
