// The sigmoid focal loss of every class of a query, written once for the CPU and for CUDA.
#pragma once

#include <cstdint>

#include "focal.h"
#include "number.h"

namespace hdetr {

// The sizes of a call: logits [L, B, Q, K], of which B * Q are rows, labels [L, B, Q], loss [L].
struct FocalSizes {
  int64_t layers, rows, classes;
};

// All arrays are contiguous; logits are not of doubles.
struct FocalArguments {
  FocalSizes sizes;
  FocalForm form;
  ConstArray logits;
  const int64_t* labels;
};

// In place of a label.
inline constexpr int64_t kBackground = -1;  // no class is there
inline constexpr int64_t kNoLoss = -2;

// A label that says nothing makes its loss NaN, and is never an index.
HDETR_INLINE bool is_unknown(int64_t label, int64_t classes) {
  return label < kNoLoss || label >= classes;
}

}  // namespace hdetr
