// Conversion of tensors to the arguments of kernels.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include "number.h"

namespace hdetr {

// For a tensor whose type was checked.
inline Type type_of(const torch::stable::Tensor& tensor) {
  using torch::headeronly::ScalarType;
  switch (tensor.scalar_type()) {
    case ScalarType::Double:
      return Type::kDouble;
    case ScalarType::Half:
      return Type::kHalf;
    case ScalarType::BFloat16:
      return Type::kBFloat16;
    default:
      return Type::kFloat;
  }
}

inline ConstArray array_of(const torch::stable::Tensor& tensor) {
  return {tensor.const_data_ptr(), type_of(tensor)};
}

inline Array mutable_array_of(torch::stable::Tensor& tensor) {
  return {tensor.mutable_data_ptr(), type_of(tensor)};
}

template <class Element>
const Element* elements_of(const torch::stable::Tensor& tensor) {
  return static_cast<const Element*>(tensor.const_data_ptr());
}

template <class Element>
Element* mutable_elements_of(torch::stable::Tensor& tensor) {
  return static_cast<Element*>(tensor.mutable_data_ptr());
}

}  // namespace hdetr
