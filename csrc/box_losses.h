// Losses between boxes and their targets, and their gradients, for CPU and CUDA.
#pragma once

#include <cstdint>

#include "box.h"

namespace hdetr {

// Sizes: boxes [P, N, 4], N rows per problem, truth [P, G, 4], index [P, N], losses [P, N, 2].
struct BoxLossSizes {
  int64_t problems, rows, targets;
};

// All arrays are contiguous; boxes are cxcywh.
struct BoxLossArguments {
  BoxLossSizes sizes;
  const float* boxes;
  const float* truth;
  const int64_t* index;  // the target of each row; negative for none
};

// For a row: the L1 distance of (cx, cy, w, h), and 1 - GIoU.
struct BoxLoss {
  float distance, giou;
};

// The gradient with respect to a row's predicted box.
struct BoxSlope {
  float cx, cy, w, h;
};

HDETR_INLINE Box<float> box_at(const float* from) {
  return Box<float>::of(from[0], from[1], from[2], from[3]);
}

// Calls use(its box, its target) for a row with a target. Otherwise returns `none`, or `unknown`
// for an index out of range, which is never dereferenced.
template <class Value, class Use>
HDETR_INLINE Value at_row(const BoxLossArguments& given, int64_t row, const Value& none,
                          const Value& unknown, const Use& use) {
  const int64_t index = given.index[row], targets = given.sizes.targets;
  if (index < 0) return none;
  if (index >= targets) return unknown;
  const int64_t target = row / given.sizes.rows * targets + index;
  return use(box_at(given.boxes + 4 * row), box_at(given.truth + 4 * target));
}

HDETR_INLINE BoxLoss loss_at(const BoxLossArguments& given, int64_t row) {
  constexpr float kUnknown = __builtin_nanf("");
  return at_row(given, row, BoxLoss{0, 0}, BoxLoss{kUnknown, kUnknown},
                [](const Box<float>& a, const Box<float>& b) HDETR_INLINE_LAMBDA {
                  return BoxLoss{distance(a, b), 1 - generalized_iou(a, b)};
                });
}

// Derivative of the maximum of two numbers with respect to the first; equal numbers share it.
HDETR_INLINE float slope_of_larger(float a, float b) { return a > b ? 1 : a == b ? 0.5f : 0; }
HDETR_INLINE float slope_of_smaller(float a, float b) { return slope_of_larger(b, a); }

HDETR_INLINE float sign(float x) { return float(x > 0) - float(x < 0); }

// Derivatives of the GIoU of two boxes with respect to the edges of `a` along one axis.
struct EdgeSlopes {
  float low, high;

  // `covered` and `hull`: derivatives of the GIoU with respect to the lengths, along this axis, of
  // the intersection and of the hull. `area`: with respect to the length of `a`.
  HDETR_INLINE static EdgeSlopes of(float a0, float a1, float b0, float b1, float covered,
                                    float hull, float area) {
    if (smaller(a1, b1) < larger(a0, b0)) covered = 0;
    return {-covered * slope_of_larger(a0, b0) - hull * slope_of_smaller(a0, b0) - area,
            covered * slope_of_smaller(a1, b1) + hull * slope_of_larger(a1, b1) + area};
  }
};

// Gradient of the GIoU with respect to `a`. An area that is replaced by 1 (see `divisor`) has zero
// derivative as a divisor.
HDETR_INLINE BoxSlope giou_slope(const Box<float>& a, const Box<float>& b) {
  const float covered_w = larger(smaller(a.x1, b.x1) - larger(a.x0, b.x0), 0.0f);
  const float covered_h = larger(smaller(a.y1, b.y1) - larger(a.y0, b.y0), 0.0f);
  const float hull_w = larger(a.x1, b.x1) - smaller(a.x0, b.x0);
  const float hull_h = larger(a.y1, b.y1) - smaller(a.y0, b.y0);
  const float covered = covered_w * covered_h, united = a.area + b.area - covered;
  const float hull = hull_w * hull_h, over_united = divisor(united), over_hull = divisor(hull);
  const float of_united =
      1 / over_hull - (united < kLeastArea ? 0 : covered / over_united / over_united);
  const float of_hull =
      (hull < kLeastArea ? 0 : (hull - united) / over_hull / over_hull) - 1 / over_hull;
  const float of_covered = 1 / over_united - of_united;
  const auto x = EdgeSlopes::of(a.x0, a.x1, b.x0, b.x1, of_covered * covered_h, of_hull * hull_h,
                                of_united * (a.y1 - a.y0));
  const auto y = EdgeSlopes::of(a.y0, a.y1, b.y0, b.y1, of_covered * covered_w, of_hull * hull_w,
                                of_united * (a.x1 - a.x0));
  return {x.low + x.high, y.low + y.high, (x.high - x.low) * 0.5f, (y.high - y.low) * 0.5f};
}

// `gradient` is that of the row's losses.
HDETR_INLINE BoxSlope slope_at(const BoxLossArguments& given, const BoxLoss& gradient,
                               int64_t row) {
  constexpr float kUnknown = __builtin_nanf("");
  return at_row(given, row, BoxSlope{0, 0, 0, 0}, BoxSlope{kUnknown, kUnknown, kUnknown, kUnknown},
                [&](const Box<float>& a, const Box<float>& b) HDETR_INLINE_LAMBDA {
                  const BoxSlope giou = giou_slope(a, b);
                  const float l1 = gradient.distance, less = gradient.giou;
                  return BoxSlope{l1 * sign(a.cx - b.cx) - less * giou.cx,
                                  l1 * sign(a.cy - b.cy) - less * giou.cy,
                                  l1 * sign(a.w - b.w) - less * giou.w,
                                  l1 * sign(a.h - b.h) - less * giou.h};
                });
}

}  // namespace hdetr
