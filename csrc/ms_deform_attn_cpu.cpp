#include "ms_deform_attn_cpu.h"

#include <type_traits>

#include "instruction_set.h"
#include "ms_deform_attn_cpu_kernels.h"
#include "ms_deform_attn_cpu_scratch.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(Real, suffix, attribute, lanes)                                  \
  attribute void run_##suffix(const ForwardArguments<Real>& arguments, int64_t first,  \
                              int64_t last, const Scratch<Real>& scratch) {            \
    Kernels<Real, lanes>::forward(arguments, first, last, scratch);                    \
  }                                                                                    \
  attribute void run_##suffix(const BackwardArguments<Real>& arguments, int64_t first, \
                              int64_t last, const Scratch<Real>& scratch) {            \
    Kernels<Real, lanes>::backward(arguments, first, last, scratch);                   \
  }
HDETR_KERNELS(float, baseline, , 4)
HDETR_KERNELS(float, avx2, HDETR_AVX2, 8)
HDETR_KERNELS(float, avx512, HDETR_AVX512, 16)
HDETR_KERNELS(double, baseline, , 4)
HDETR_KERNELS(double, avx2, HDETR_AVX2, 4)
HDETR_KERNELS(double, avx512, HDETR_AVX512, 8)
#undef HDETR_KERNELS

template <class Real>
int lanes() {
  constexpr int kShare = sizeof(Real) == 4 ? 1 : 2;
  return choose(4, 8 / kShare, 16 / kShare);
}

template <class Arguments>
void dispatch(const Arguments& arguments, int64_t first, int64_t last, int64_t planes) {
  using Real = std::remove_const_t<std::remove_pointer_t<decltype(arguments.locations)>>;
  const Layout layout = Layout::choose<Real>(arguments.sizes, arguments.value.type, lanes<Real>());
  const Scratch<Real> scratch(arguments.sizes, layout, planes);
  using Run = void(const Arguments&, int64_t, int64_t, const Scratch<Real>&);
  return choose<Run*>(run_baseline, run_avx2, run_avx512)(arguments, first, last, scratch);
}

}  // namespace

template <class Real>
int64_t count_tasks(const ForwardArguments<Real>& arguments) {
  const Sizes& sizes = arguments.sizes;
  const Layout layout = Layout::choose<Real>(sizes, arguments.value.type, lanes<Real>());
  if (layout.direct) return sizes.batch * divide_up(sizes.queries, kDirectQueries);
  return sizes.batch * sizes.heads * divide_up(sizes.queries, kPlaneQueries);
}

template <class Real>
int64_t count_tasks(const BackwardArguments<Real>& arguments) {
  const Sizes& sizes = arguments.sizes;
  return sizes.batch * sizes.heads * sizes.levels;
}

template <class Real>
void run_tasks(const ForwardArguments<Real>& arguments, int64_t first, int64_t last) {
  dispatch(arguments, first, last, 1);
}

template <class Real>
void run_tasks(const BackwardArguments<Real>& arguments, int64_t first, int64_t last) {
  dispatch(arguments, first, last, 2);
}

#define HDETR_INSTANTIATE(Arguments)                        \
  template int64_t count_tasks(const Arguments& arguments); \
  template void run_tasks(const Arguments& arguments, int64_t first, int64_t last);
HDETR_INSTANTIATE(ForwardArguments<float>)
HDETR_INSTANTIATE(ForwardArguments<double>)
HDETR_INSTANTIATE(BackwardArguments<float>)
HDETR_INSTANTIATE(BackwardArguments<double>)
#undef HDETR_INSTANTIATE

int64_t vector_bits() { return lanes<float>() * 32; }

}  // namespace hdetr
