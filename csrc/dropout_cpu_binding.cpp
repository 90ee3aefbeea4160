// The operator in PyTorch's dispatcher: its schema, and its CPU kernel. On a GPU PyTorch's own
// dropout is as fast.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

#include "dropout_cpu.h"
#include "tensor_elements.h"

namespace hdetr {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kTasksWorthAThread = 16;  // about 10 microseconds

#define HDETR_DROPOUT_CHECK(condition, ...) STD_TORCH_CHECK(condition, "dropout: ", __VA_ARGS__)

void check(const Tensor& x, const Tensor& seeds, double p) {
  const ScalarType type = x.scalar_type();
  HDETR_DROPOUT_CHECK(
      type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
      "x must be float32, float16 or bfloat16.");
  HDETR_DROPOUT_CHECK(seeds.dim() == 1 && seeds.scalar_type() == ScalarType::Long,
                      "seeds must be [N] int64.");
  HDETR_DROPOUT_CHECK(seeds.is_cpu(), "seeds must be on the CPU.");
  HDETR_DROPOUT_CHECK(seeds.size(0) > 0 && x.numel() % seeds.size(0) == 0,
                      "x must have equal parts, one for each seed.");
  HDETR_DROPOUT_CHECK(p >= 0 && p < 1, "p is at least 0 and below 1, not ", p, ".");
}

// There are as many equal parts of x as seeds; each uses its own seed.
Tensor dropout(Tensor x, Tensor seeds, double p) {
  check(x, seeds, p);
  x = torch::stable::contiguous(x);
  seeds = torch::stable::contiguous(seeds);
  Tensor result = torch::stable::new_empty(x, x.sizes());
  const Type type = type_of(x);
  const int64_t size = x.numel() / seeds.size(0), bytes = size * element_size(type);
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(result.mutable_data_ptr());
  for (int64_t part = 0; part < seeds.size(0); ++part, from += bytes, to += bytes) {
    const DropoutArguments arguments{size,
                                     static_cast<uint64_t>(elements_of<int64_t>(seeds)[part]),
                                     static_cast<uint32_t>(p * 0x1p32),
                                     static_cast<float>(1 / (1 - p)),
                                     {from, type},
                                     {to, type}};
    torch::stable::parallel_for(0, count_tasks(arguments), kTasksWorthAThread,
                                [&](int64_t first, int64_t last) { drop(arguments, first, last); });
  }
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) {
  m.def("dropout(Tensor x, Tensor seeds, float p) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CPU, m) { m.impl("dropout", TORCH_BOX(&dropout)); }

}  // namespace hdetr
