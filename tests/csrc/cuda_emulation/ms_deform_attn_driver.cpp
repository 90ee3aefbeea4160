// The launchers of csrc/ms_deform_attn_cuda.h and ms_deform_attn_fused_cuda.h, to be called from
// Python on memory of the CPU.
#include "emulation.h"
#include "ms_deform_attn_cuda.h"
#include "ms_deform_attn_fused_cuda.h"

using namespace hdetr;
using namespace hdetr::cuda;

// The same fields in test_ms_deform_attn_emulated.py.
struct EmulatedCall {
  Sizes sizes;
  const int64_t* shapes;
  int32_t value_type, weight_type;  // of Type
  int32_t threads, tiled, max_blocks;
  int32_t deterministic;
  uint64_t seed;
};

namespace {

Problem problem_of(const EmulatedCall& call) {
  return {Type(call.value_type), Type(call.weight_type), call.sizes,
          std::vector<int64_t>(call.shapes, call.shapes + 2 * call.sizes.levels)};
}

LaunchShape shape_of(const EmulatedCall& call) {
  emulation::seed(call.seed);
  return {call.threads, call.tiled != 0, call.max_blocks};
}

}  // namespace

extern "C" int forward(const EmulatedCall* call, const void* value, const void* locations,
                       const void* weights, void* output) {
  return launch_ms_deform_attn(problem_of(*call), shape_of(*call), value, locations, weights,
                               output, nullptr);
}

extern "C" int64_t workspace_bytes(const EmulatedCall* call) {
  return backward_workspace_bytes(problem_of(*call), call->deterministic != 0);
}

extern "C" int backward(const EmulatedCall* call, const void* grad_output, const void* value,
                        const void* locations, const void* weights, void* grad_value,
                        void* grad_locations, void* grad_weights, void* workspace) {
  emulation::added_bytes = 0;
  const BackwardTensors tensors{grad_output, value,          locations,    weights,
                                grad_value,  grad_locations, grad_weights, workspace};
  return launch_ms_deform_attn_backward(problem_of(*call), shape_of(*call), tensors,
                                        call->deterministic != 0, nullptr);
}

// Of rows: their type stands in `weight_type`.
extern "C" int fused_forward(const EmulatedCall* call, int32_t boxes, const void* value,
                             const void* reference, const void* rows, void* output) {
  return launch_ms_deform_attn_fused(problem_of(*call), shape_of(*call), value,
                                     {reference, boxes != 0, rows}, output, nullptr);
}

extern "C" int fused_backward(const EmulatedCall* call, int32_t boxes, const void* grad_output,
                              const void* value, const void* reference, const void* rows,
                              void* grad_value, void* grad_reference, void* grad_rows,
                              void* by_weights, void* by_locations, void* workspace) {
  const FusedBackwardTensors tensors{grad_output, value,        {reference, boxes != 0, rows},
                                     grad_value,  grad_rows,    grad_reference,
                                     by_weights,  by_locations, workspace};
  return launch_ms_deform_attn_fused_backward(problem_of(*call), shape_of(*call), tensors,
                                              call->deterministic != 0, nullptr);
}

// What the atomic additions of the last backward wrote.
extern "C" uint64_t added_bytes() { return emulation::added_bytes; }
