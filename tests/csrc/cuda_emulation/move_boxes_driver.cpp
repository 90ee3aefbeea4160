// The launchers of csrc/move_boxes_cuda.h, to be called from Python on memory of the CPU.
#include "emulation.h"
#include "move_boxes_cuda.h"

using namespace hdetr;

// The same fields in test_move_boxes_emulated.py.
struct EmulatedCall {
  MoveSizes sizes;
  int32_t threads, blocks;
  uint64_t seed;
  float eps;
};

namespace {

MoveArguments arguments_of(const EmulatedCall& call, const float* reference) {
  emulation::seed(call.seed);
  return {call.sizes, call.eps, reference};
}

}  // namespace

extern "C" int forward(const EmulatedCall* call, const float* delta, const float* reference,
                       float* boxes) {
  return cuda::launch_move_boxes(arguments_of(*call, reference), delta, boxes,
                                 {call->threads, call->blocks}, nullptr);
}

extern "C" int backward(const EmulatedCall* call, const float* grad_boxes, const float* boxes,
                        const float* reference, float* grad_delta, float* grad_reference) {
  return cuda::launch_move_boxes_backward(arguments_of(*call, reference), grad_boxes, boxes,
                                          grad_delta, grad_reference, {call->threads, call->blocks},
                                          nullptr);
}
