// The launchers of csrc/box_losses_cuda.h, to be called from Python on memory of the CPU.
#include "box_losses_cuda.h"
#include "emulation.h"

using namespace hdetr;

// The same fields in test_box_losses_emulated.py.
struct EmulatedCall {
  BoxLossSizes sizes;
  int32_t threads, blocks;
  uint64_t seed;
};

namespace {

BoxLossArguments arguments_of(const EmulatedCall& call, const float* boxes, const float* truth,
                              const int64_t* index) {
  emulation::seed(call.seed);
  return {call.sizes, boxes, truth, index};
}

}  // namespace

extern "C" int forward(const EmulatedCall* call, const float* boxes, const float* truth,
                       const int64_t* index, BoxLoss* losses) {
  return cuda::launch_box_losses(arguments_of(*call, boxes, truth, index), losses,
                                 {call->threads, call->blocks}, nullptr);
}

extern "C" int backward(const EmulatedCall* call, const BoxLoss* grad_losses, const float* boxes,
                        const float* truth, const int64_t* index, BoxSlope* grad_boxes) {
  return cuda::launch_box_losses_backward(arguments_of(*call, boxes, truth, index), grad_losses,
                                          grad_boxes, {call->threads, call->blocks}, nullptr);
}
