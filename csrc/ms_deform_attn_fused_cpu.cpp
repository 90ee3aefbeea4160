#include "ms_deform_attn_fused_cpu.h"

#include "instruction_set.h"
#include "ms_deform_attn_cpu_dispatch.h"
#include "ms_deform_attn_fused_cpu_points.h"
#include "ms_deform_attn_fused_cpu_softmax.h"

namespace hdetr {

HDETR_INSTANTIATE_TASKS(ForwardArguments<RowPoints<float>>)
HDETR_INSTANTIATE_TASKS(ForwardArguments<RowPoints<double>>)
HDETR_INSTANTIATE_TASKS(BackwardArguments<RowPoints<float>>)
HDETR_INSTANTIATE_TASKS(BackwardArguments<RowPoints<double>>)

namespace {

#define HDETR_KERNELS(suffix, attribute, lanes_of_float, lanes_of_double)                         \
  template <class Real>                                                                           \
  attribute void softmax_##suffix(const SoftmaxArguments<Real>& arguments, int64_t first,         \
                                  int64_t last) {                                                 \
    SoftmaxKernels<Real, sizeof(Real) == 4 ? lanes_of_float : lanes_of_double>::run(arguments,    \
                                                                                    first, last); \
  }
HDETR_KERNELS(baseline, , 4, 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8, 4)
HDETR_KERNELS(avx512, HDETR_AVX512, 16, 8)
#undef HDETR_KERNELS

}  // namespace

template <class Real>
int64_t count_tasks(const SoftmaxArguments<Real>& arguments) {
  return divide_up(arguments.sizes.batch * arguments.sizes.queries, kSoftmaxQueries);
}

template <class Real>
void run_tasks(const SoftmaxArguments<Real>& arguments, int64_t first, int64_t last) {
  using Run = void(const SoftmaxArguments<Real>&, int64_t, int64_t);
  choose<Run*>(softmax_baseline<Real>, softmax_avx2<Real>, softmax_avx512<Real>)(arguments, first,
                                                                                 last);
}

HDETR_INSTANTIATE_TASKS(SoftmaxArguments<float>)
HDETR_INSTANTIATE_TASKS(SoftmaxArguments<double>)

}  // namespace hdetr
