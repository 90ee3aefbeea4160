// The tensors of affine_relu, for CPU and CUDA: checked, since kernels trust their arguments, and
// converted to what kernels take.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/MemoryFormat.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Exception.h>
#include <torch/headeronly/util/Half.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include "affine_relu.h"
#include "tensor_elements.h"

namespace hdetr {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

#define HDETR_AFFINE_CHECK(condition, ...) STD_TORCH_CHECK(condition, "affine_relu: ", __VA_ARGS__)

inline void check_map(const Tensor& x) {
  const ScalarType type = x.scalar_type();
  HDETR_AFFINE_CHECK(
      type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "x must be float32, float16 or bfloat16.");
  HDETR_AFFINE_CHECK(x.dim() == 4, "x must be [B, C, H, W].");
}

inline void check_constant(const Tensor& constant, const Tensor& x, const char* name) {
  HDETR_AFFINE_CHECK(constant.dim() == 1 && constant.size(0) == x.size(1), name,
                     " must be [C], as x is [B, C, H, W].");
  HDETR_AFFINE_CHECK(constant.scalar_type() == ScalarType::Float, name, " must be float32.");
  HDETR_AFFINE_CHECK(constant.device() == x.device(), name, " must be on the device of x.");
}

inline void check_like(const Tensor& other, const Tensor& x, const char* name) {
  bool fits = other.dim() == 4 && other.scalar_type() == x.scalar_type();
  for (int64_t dim = 0; fits && dim < 4; ++dim) fits = other.size(dim) == x.size(dim);
  HDETR_AFFINE_CHECK(fits, name, " must have the shape and the dtype of x.");
  HDETR_AFFINE_CHECK(other.device() == x.device(), name, " must be on the device of x.");
}

// The memory order of x, if it is contiguous in one: whether channels are last.
inline MemoryFormat order_of(const Tensor& x) {
  return x.stride(1) == 1 && !x.is_contiguous() ? MemoryFormat::ChannelsLast
                                                : MemoryFormat::Contiguous;
}

// As a number of that type; NaN stands for none.
inline float ceiling_of(ScalarType type, double ceiling) {
  if (std::isnan(ceiling)) return no_ceiling();
  const auto number = static_cast<float>(ceiling);
  if (type == ScalarType::Half) return torch::headeronly::Half(number);
  return type == ScalarType::BFloat16 ? float(torch::headeronly::BFloat16(number)) : number;
}

inline AffineForm affine_form(const Tensor& x, MemoryFormat order, const Tensor& scale,
                              const float* shift, double ceiling) {
  const bool planes = order == MemoryFormat::Contiguous;
  return {x.numel(),
          x.size(1),
          planes ? x.size(2) * x.size(3) : 1,
          elements_of<float>(scale),
          shift,
          ceiling_of(x.scalar_type(), ceiling)};
}

// Arguments of the forward, checked and in one memory order; the result is written to `y`.
struct AffineForward {
  AffineForward(Tensor given, Tensor scales, Tensor shifts, const std::optional<Tensor>& shortcut,
                double ceiling)
      : order(checked(given, scales, shifts, shortcut)),
        x(torch::stable::contiguous(given, order)),
        residual(shortcut ? torch::stable::contiguous(*shortcut, order) : x),
        scale(torch::stable::contiguous(scales)),
        shift(torch::stable::contiguous(shifts)),
        y(torch::stable::empty_like(x)),
        form(affine_form(x, order, scale, elements_of<float>(shift), ceiling)),
        inputs{array_of(x), shortcut ? array_of(residual) : ConstArray{nullptr, type_of(x)}} {}

  MemoryFormat order;
  Tensor x, residual, scale, shift, y;
  AffineForm form;
  AffineInputs inputs;

 private:
  static MemoryFormat checked(const Tensor& x, const Tensor& scale, const Tensor& shift,
                              const std::optional<Tensor>& residual) {
    check_map(x);
    check_constant(scale, x, "scale");
    check_constant(shift, x, "shift");
    if (residual) check_like(*residual, x, "residual");
    return order_of(x);
  }
};

// The same for the backward; by_residual is empty if it is not needed.
struct AffineBackward {
  AffineBackward(Tensor given, Tensor result, Tensor scales, double ceiling, bool of_residual)
      : order(checked(given, result, scales)),
        gradient(torch::stable::contiguous(given, order)),
        y(torch::stable::contiguous(result, order)),
        scale(torch::stable::contiguous(scales)),
        by_x(torch::stable::empty_like(y)),
        by_residual(of_residual ? torch::stable::empty_like(y)
                                : torch::stable::new_empty(y, {int64_t{0}})),
        form(affine_form(y, order, scale, nullptr, ceiling)),
        gradients{array_of(gradient), array_of(y), mutable_array_of(by_x),
                  of_residual ? mutable_array_of(by_residual) : Array{nullptr, type_of(y)}} {}

  MemoryFormat order;
  Tensor gradient, y, scale, by_x, by_residual;
  AffineForm form;
  AffineGradients gradients;

 private:
  static MemoryFormat checked(const Tensor& gradient, const Tensor& y, const Tensor& scale) {
    check_map(y);
    check_constant(scale, y, "scale");
    check_like(gradient, y, "the gradient");
    return order_of(y);
  }
};

}  // namespace hdetr
