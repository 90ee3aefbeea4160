// Fused multi-scale deformable attention on the CPU: the tasks of ms_deform_attn_cpu.h with another
// kind of points, and those that complete the backward.
#pragma once

#include <cstdint>

#include "array.h"
#include "ms_deform_attn.h"
#include "ms_deform_attn_cpu.h"
#include "ms_deform_attn_fused.h"

namespace hdetr {

// Locations and weights of points, computed from a row per query.
template <class Real_>
struct RowPoints {
  using Real = Real_;
  struct Gradients {
    Array rows;           // [B, Q, 3 * M * L * P], here those of the offsets
    Real* weights;        // with respect to the softmax: [M, L * P] per query
    int64_t weights_row;  // from a query to the next one
    Real* locations;      // [B, Q, M, L, P, 2]; null if the gradient of the reference is not needed
  };

  const Real* reference;  // [B, Q, L, 2], or of boxes [B, Q, L, 4]
  bool boxes;
  ConstArray rows;  // [B, Q, 3 * M * L * P]; may have 16 bits where Real is float

  HDETR_INLINE int64_t numbers() const { return boxes ? 4 : 2; }
};

// From the gradients with respect to weights and locations to those with respect to logits and
// reference.
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
