// affine_relu on the CPU: kernels on raw pointers, divided into tasks of some rows each.
#pragma once

#include <cstdint>

#include "affine_relu.h"

namespace hdetr {

int64_t count_tasks(const AffineForm& form);

// Tasks [first, last).
void apply_affine(const AffineForm& form, const AffineInputs& inputs, const Array& y, int64_t first,
                  int64_t last);
void differentiate_affine(const AffineForm& form, const AffineGradients& gradients, int64_t first,
                          int64_t last);

}  // namespace hdetr
