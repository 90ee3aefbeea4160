// Boxes, their distances and their overlap, for CPU and CUDA.
#pragma once

#include <limits>

#include "number.h"

namespace hdetr {

// The reciprocal of a smaller number would overflow.
inline constexpr float kLeastArea = std::numeric_limits<float>::min();

template <class Number>
struct Box {
  Number cx, cy, w, h;
  Number x0, y0, x1, y1, area;

  HDETR_INLINE static Box of(Number cx, Number cy, Number w, Number h) {
    const Number x = w * 0.5f, y = h * 0.5f;
    const Number x0 = cx - x, y0 = cy - y, x1 = cx + x, y1 = cy + y;
    return {cx, cy, w, h, x0, y0, x1, y1, (x1 - x0) * (y1 - y0)};
  }
};

template <class Number>
HDETR_INLINE Number larger(Number a, Number b) {
  return a > b ? a : b;
}
template <class Number>
HDETR_INLINE Number smaller(Number a, Number b) {
  return a < b ? a : b;
}

// L1 distance of (cx, cy, w, h).
template <class Number>
HDETR_INLINE Number distance(const Box<Number>& a, const Box<Number>& b) {
  return absolute(a.cx - b.cx) + absolute(a.cy - b.cy) + absolute(a.w - b.w) + absolute(a.h - b.h);
}

// An area, or 1 if it is too small: boxes with an area count in full, however small they are. A NaN
// coordinate gives a NaN area, which fails the comparison and is kept.
template <class Number>
HDETR_INLINE Number divisor(Number area) {
  const Number none{}, one = none + 1.0f, least = none + kLeastArea;
  return area < least ? one : area;
}

// Generalised IoU (https://arxiv.org/abs/1902.09630); finite for boxes without area.
template <class Number>
HDETR_INLINE Number generalized_iou(const Box<Number>& a, const Box<Number>& b) {
  const Number none{};
  const Number inside = larger(smaller(a.x1, b.x1) - larger(a.x0, b.x0), none) *
                        larger(smaller(a.y1, b.y1) - larger(a.y0, b.y0), none);
  const Number united = a.area + b.area - inside;
  const Number hull =
      (larger(a.x1, b.x1) - smaller(a.x0, b.x0)) * (larger(a.y1, b.y1) - smaller(a.y0, b.y0));
  return inside / divisor(united) - (hull - united) / divisor(hull);
}

}  // namespace hdetr
