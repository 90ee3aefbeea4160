// The launchers of csrc/sigmoid_focal_loss_cuda.h, to be called from Python on memory of the CPU.
#include "emulation.h"
#include "sigmoid_focal_loss_cuda.h"

using namespace hdetr;

// The same fields in test_sigmoid_focal_loss_emulated.py.
struct EmulatedCall {
  FocalSizes sizes;
  FocalForm form;
  int32_t type;  // of Type
  int32_t threads, blocks;
  uint64_t seed;
};

namespace {

FocalArguments arguments_of(const EmulatedCall& call, const void* logits, const int64_t* labels) {
  emulation::seed(call.seed);
  return {call.sizes, call.form, {logits, Type(call.type)}, labels};
}

}  // namespace

extern "C" int64_t count_partial_sums(const EmulatedCall* call) {
  return cuda::count_partial_sums(call->sizes);
}

extern "C" int forward(const EmulatedCall* call, const void* logits, const int64_t* labels,
                       float* partial_sums, float* loss) {
  return cuda::launch_sigmoid_focal_loss(arguments_of(*call, logits, labels), partial_sums, loss,
                                         {call->threads, call->blocks}, nullptr);
}

extern "C" int backward(const EmulatedCall* call, const float* grad_loss, const void* logits,
                        const int64_t* labels, void* grad_logits) {
  return cuda::launch_sigmoid_focal_loss_backward(arguments_of(*call, logits, labels), grad_loss,
                                                  grad_logits, {call->threads, call->blocks},
                                                  nullptr);
}
