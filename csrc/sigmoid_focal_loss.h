// The sigmoid focal loss of all classes of a query, for CPU and CUDA.
#pragma once

#include <cstdint>

#include "focal.h"
#include "number.h"

namespace hdetr {

// Sizes: logits [L, B, Q, K], of which B * Q are rows, labels [L, B, Q], loss [L].
struct FocalSizes {
  int64_t layers, rows, classes;
};

// All arrays are contiguous; logits are not doubles.
struct FocalArguments {
  FocalSizes sizes;
  FocalForm form;
  ConstArray logits;
  const int64_t* labels;
};

// In place of a label.
inline constexpr int64_t kBackground = -1;  // no class is there
inline constexpr int64_t kNoLoss = -2;

// An invalid label makes its loss NaN, and is never used as an index.
HDETR_INLINE bool is_unknown(int64_t label, int64_t classes) {
  return label < kNoLoss || label >= classes;
}

}  // namespace hdetr
