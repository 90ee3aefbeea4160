#include "matching_cost_cpu.h"

#include "instruction_set.h"
#include "matching_cost_cpu_kernels.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(suffix, attribute, lanes)                                                  \
  attribute void run_##suffix(const MatchingArguments& arguments, int64_t first, int64_t last) { \
    MatchingKernels<lanes>::run(arguments, first, last);                                         \
  }
HDETR_KERNELS(baseline, , 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8)
HDETR_KERNELS(avx512, HDETR_AVX512, 16)
#undef HDETR_KERNELS

}  // namespace

int64_t count_tasks(const MatchingArguments& arguments) {
  const MatchingSizes& sizes = arguments.sizes;
  return sizes.problems * divide_up(sizes.queries, kMatchingQueries);
}

void run_tasks(const MatchingArguments& arguments, int64_t first, int64_t last) {
  return choose(run_baseline, run_avx2, run_avx512)(arguments, first, last);
}

}  // namespace hdetr
