// The launcher of csrc/matching_cost_cuda.h, to be called from Python on memory of the CPU.
#include "emulation.h"
#include "matching_cost_cuda.h"

using namespace hdetr;

// The same fields in test_matching_cost_emulated.py.
struct EmulatedCall {
  MatchingSizes sizes;
  int32_t form, type;  // of ClassCost, of Type
  float alpha, gamma, classes, bbox, giou;
  int32_t threads, blocks;
  uint64_t seed;
};

extern "C" int matching_cost(const EmulatedCall* call, const void* logits, const float* boxes,
                             const int64_t* labels, const float* target_boxes,
                             const int64_t* num_targets, float* cost, int64_t* nonfinite) {
  emulation::seed(call->seed);
  const MatchingRule rule{
      ClassCost(call->form), {call->alpha, call->gamma}, call->classes, call->bbox, call->giou};
  return cuda::launch_matching_cost({call->sizes,
                                     rule,
                                     {logits, Type(call->type)},
                                     boxes,
                                     labels,
                                     target_boxes,
                                     num_targets,
                                     cost,
                                     nonfinite},
                                    {call->threads, call->blocks}, nullptr);
}
