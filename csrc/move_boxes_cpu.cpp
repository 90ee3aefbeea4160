#include "move_boxes_cpu.h"

#include "instruction_set.h"
#include "move_boxes_cpu_kernels.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(suffix, attribute, lanes)                                                  \
  attribute void move_##suffix(const MoveArguments& arguments, const float* delta, float* boxes, \
                               int64_t first, int64_t last) {                                    \
    MoveKernels<lanes>::move(arguments, delta, boxes, first, last);                              \
  }                                                                                              \
  attribute void differentiate_##suffix(const MoveArguments& arguments,                          \
                                        const MoveGradients& gradients, int64_t first,           \
                                        int64_t last) {                                          \
    MoveKernels<lanes>::differentiate(arguments, gradients, first, last);                        \
  }
HDETR_KERNELS(baseline, , 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8)
HDETR_KERNELS(avx512, HDETR_AVX512, 16)
#undef HDETR_KERNELS

}  // namespace

void move_boxes(const MoveArguments& arguments, const float* delta, float* boxes, int64_t first,
                int64_t last) {
  choose(move_baseline, move_avx2, move_avx512)(arguments, delta, boxes, first, last);
}

void differentiate_moves(const MoveArguments& arguments, const MoveGradients& gradients,
                         int64_t first, int64_t last) {
  choose(differentiate_baseline, differentiate_avx2, differentiate_avx512)(arguments, gradients,
                                                                           first, last);
}

}  // namespace hdetr
