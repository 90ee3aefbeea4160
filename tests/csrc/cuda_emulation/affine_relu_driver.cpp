// The launchers of csrc/affine_relu_cuda.h, to be called from Python on memory of the CPU.
#include <cmath>

#include "affine_relu_cuda.h"
#include "emulation.h"

using namespace hdetr;

// The same fields in test_affine_relu_emulated.py.
struct EmulatedCall {
  int64_t size, channels, together;
  int32_t type;  // of Type
  int32_t threads, blocks;
  float ceiling;  // NaN for none
  uint64_t seed;
};

namespace {

AffineForm form_of(const EmulatedCall& call, const float* scale, const float* shift) {
  emulation::seed(call.seed);
  return {call.size, call.channels, call.together,
          scale,     shift,         std::isnan(call.ceiling) ? no_ceiling() : call.ceiling};
}

}  // namespace

extern "C" int forward(const EmulatedCall* call, const float* scale, const float* shift,
                       const void* x, const void* residual, void* y) {
  const Type type = Type(call->type);
  return cuda::launch_affine_relu(form_of(*call, scale, shift), {{x, type}, {residual, type}},
                                  {y, type}, {call->threads, call->blocks}, nullptr);
}

extern "C" int backward(const EmulatedCall* call, const float* scale, const void* gradient,
                        const void* y, void* of_x, void* of_residual) {
  const Type type = Type(call->type);
  return cuda::launch_affine_relu_backward(
      form_of(*call, scale, nullptr),
      {{gradient, type}, {y, type}, {of_x, type}, {of_residual, type}},
      {call->threads, call->blocks}, nullptr);
}
