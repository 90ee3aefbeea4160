// Argument checks of fused multi-scale deformable attention, for CPU and CUDA, before any work
// begins.
#pragma once

#include <cstdint>
#include <vector>

#include "ms_deform_attn_checks.h"

namespace hdetr {

// Per level: of the `size` numbers of a row, three belong to each point of each head.
inline int64_t count_points(int64_t size, int64_t heads, int64_t levels) {
  const int64_t each = 3 * heads * levels;
  HDETR_CHECK(each == 0 ? size == 0 : size % each == 0, "rows of ", size,
              " numbers cannot be three for each point of ", heads, " heads on ", levels,
              " levels.");
  return each == 0 ? 0 : size / each;
}

// Raises for anything that the kernels cannot take.
inline Sizes check_row_arguments(const Tensor& value, const std::vector<int64_t>& shapes,
                                 const Tensor& reference, const Tensor& rows) {
  HDETR_CHECK(value.dim() == 4, "value must be [B, S, M, D].");
  HDETR_CHECK(reference.dim() == 4 && (reference.size(3) == 2 || reference.size(3) == 4),
              "reference must be [B, Q, L, 2 or 4].");
  HDETR_CHECK(rows.dim() == 3, "rows must be [B, Q, 3 * M * L * P].");
  check_types(value, {reference, "reference"}, {rows, "rows"});
  check_same_device(reference, "reference", value);
  check_same_device(rows, "rows", value);
  const int64_t cells = check_levels(shapes, value.size(1));
  const auto levels = static_cast<int64_t>(shapes.size() / 2);
  const Sizes sizes{value.size(0),
                    cells,
                    value.size(2),
                    value.size(3),
                    rows.size(1),
                    levels,
                    count_points(rows.size(2), value.size(2), levels)};
  check_size(rows, "rows", 0, sizes.batch);
  check_size(reference, "reference", 0, sizes.batch);
  check_size(reference, "reference", 1, sizes.queries);
  check_size(reference, "reference", 2, sizes.levels);
  return sizes;
}

}  // namespace hdetr
