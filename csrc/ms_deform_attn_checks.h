// Argument checks of multi-scale deformable attention, for CPU and CUDA.
//
// Everything is checked here, before any work begins, since kernels trust their arguments. The
// Python function has already checked shapes, with better messages; these checks are for direct
// calls of the operator.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <vector>

#include "ms_deform_attn.h"

namespace hdetr {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// What is wrong, in one sentence: raised as a RuntimeError in Python.
#define HDETR_CHECK(condition, ...) STD_TORCH_CHECK(condition, "ms_deform_attn: ", __VA_ARGS__)

inline void check_same_device(const Tensor& tensor, const char* name, const Tensor& value) {
  HDETR_CHECK(tensor.device() == value.device(), name, " must be on the device of value.");
}

// A tensor with its name for messages.
struct Named {
  const Tensor& tensor;
  const char* name;
};

// places: from which locations are computed. factors: from which the weights of samples are
// computed.
inline void check_types(const Tensor& value, const Named& places, const Named& factors) {
  const ScalarType type = value.scalar_type();
  const bool wide = type == ScalarType::Double;
  HDETR_CHECK(
      wide || type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "value must be float32, float64, float16 or bfloat16.");
  const ScalarType real = wide ? ScalarType::Double : ScalarType::Float;
  HDETR_CHECK(places.tensor.scalar_type() == real, places.name, " must be ",
              wide ? "float64 for a value in float64." : "float32.");
  const ScalarType factor = factors.tensor.scalar_type();
  HDETR_CHECK(factor == real || factor == type, factors.name, " must be ",
              wide ? "float64 for a value in float64." : "float32 or of the type of value.");
}

// Number of cells of all levels.
inline int64_t check_levels(const std::vector<int64_t>& shapes, int64_t cells) {
  HDETR_CHECK(!shapes.empty() && shapes.size() % 2 == 0,
              "spatial_shapes must hold a height and a width for each level, not ", shapes.size(),
              " numbers.");
  int64_t sum = 0;
  for (size_t i = 0; i < shapes.size(); i += 2) {
    const int64_t height = shapes[i], width = shapes[i + 1];
    HDETR_CHECK(height > 0 && width > 0 && height <= INT32_MAX && width <= INT32_MAX, "level ",
                i / 2, " has the size ", height, " x ", width, ".");
    sum += height * width;
    HDETR_CHECK(sum <= INT32_MAX, "the levels have more than 2^31 - 1 cells together.");
  }
  HDETR_CHECK(sum == cells, "the levels have ", sum, " cells together, but value has ", cells, ".");
  return sum;
}

inline void check_size(const Tensor& tensor, const char* name, int64_t dim, int64_t size) {
  HDETR_CHECK(tensor.size(dim) == size, name, " has the size ", tensor.size(dim), " instead of ",
              size, " in its dimension ", dim, ".");
}

// Raises for anything that the kernels cannot take.
inline Sizes check_arguments(const Tensor& value, const std::vector<int64_t>& shapes,
                             const Tensor& locations, const Tensor& weights) {
  HDETR_CHECK(value.dim() == 4, "value must be [B, S, M, D].");
  HDETR_CHECK(locations.dim() == 6, "sampling_locations must be [B, Q, M, L, P, 2].");
  HDETR_CHECK(weights.dim() == 5, "attention_weights must be [B, Q, M, L, P].");
  check_types(value, {locations, "sampling_locations"}, {weights, "attention_weights"});
  check_same_device(locations, "sampling_locations", value);
  check_same_device(weights, "attention_weights", value);
  const Sizes sizes{
      value.size(0),     check_levels(shapes, value.size(1)),     value.size(2),    value.size(3),
      locations.size(1), static_cast<int64_t>(shapes.size() / 2), locations.size(4)};
  const int64_t points[] = {sizes.batch, sizes.queries, sizes.heads, sizes.levels, sizes.points};
  for (int64_t dim = 0; dim < 5; ++dim) {
    check_size(locations, "sampling_locations", dim, points[dim]);
    check_size(weights, "attention_weights", dim, points[dim]);
  }
  check_size(locations, "sampling_locations", 5, 2);
  return sizes;
}

inline void check_grad_output(const Tensor& grad_output, const Tensor& value, const Sizes& sizes) {
  HDETR_CHECK(grad_output.dim() == 3, "grad_output must be [B, Q, M * D].");
  HDETR_CHECK(grad_output.scalar_type() == value.scalar_type(),
              "grad_output must have the type of value.");
  check_same_device(grad_output, "grad_output", value);
  check_size(grad_output, "grad_output", 0, sizes.batch);
  check_size(grad_output, "grad_output", 1, sizes.queries);
  check_size(grad_output, "grad_output", 2, sizes.heads * sizes.channels);
}

template <class Real>
std::vector<Level<Real>> make_levels(const std::vector<int64_t>& shapes) {
  std::vector<Level<Real>> levels;
  int32_t start = 0;
  for (size_t i = 0; i < shapes.size(); i += 2) {
    levels.push_back(Level<Real>::make(static_cast<int32_t>(shapes[i]),
                                       static_cast<int32_t>(shapes[i + 1]), start));
    start += levels.back().height * levels.back().width;
  }
  return levels;
}

}  // namespace hdetr
