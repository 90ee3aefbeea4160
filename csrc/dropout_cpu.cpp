#include "dropout_cpu.h"

#include "dropout_cpu_kernels.h"
#include "instruction_set.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(suffix, attribute, lanes)                                                  \
  attribute void drop_##suffix(const DropoutArguments& arguments, int64_t first, int64_t last) { \
    DropoutKernels<lanes>::drop(arguments, first, last);                                         \
  }
HDETR_KERNELS(baseline, , 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8)
HDETR_KERNELS(avx512, HDETR_AVX512, 16)
#undef HDETR_KERNELS

}  // namespace

int64_t count_tasks(const DropoutArguments& arguments) {
  return divide_up(arguments.size, kRandomChunk);
}

void drop(const DropoutArguments& arguments, int64_t first, int64_t last) {
  choose(drop_baseline, drop_avx2, drop_avx512)(arguments, first, last);
}

}  // namespace hdetr
