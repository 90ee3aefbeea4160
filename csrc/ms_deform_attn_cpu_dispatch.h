// The tasks of ms_deform_attn_cpu.h: their number, and the kernels of the selected instruction set.
#pragma once

#include "instruction_set.h"
#include "ms_deform_attn_cpu_kernels.h"
#include "ms_deform_attn_cpu_scratch.h"

namespace hdetr {

#define HDETR_KERNELS(suffix, attribute, lanes_of_float, lanes_of_double)                         \
  template <class Points>                                                                         \
  attribute void run_##suffix(const ForwardArguments<Points>& arguments, int64_t first,           \
                              int64_t last, const Scratch<typename Points::Real>& scratch) {      \
    constexpr int kLanes = sizeof(typename Points::Real) == 4 ? lanes_of_float : lanes_of_double; \
    Kernels<Points, kLanes>::forward(arguments, first, last, scratch);                            \
  }                                                                                               \
  template <class Points>                                                                         \
  attribute void run_##suffix(const BackwardArguments<Points>& arguments, int64_t first,          \
                              int64_t last, const Scratch<typename Points::Real>& scratch) {      \
    constexpr int kLanes = sizeof(typename Points::Real) == 4 ? lanes_of_float : lanes_of_double; \
    Kernels<Points, kLanes>::backward(arguments, first, last, scratch);                           \
  }
HDETR_KERNELS(baseline, , 4, 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8, 4)
HDETR_KERNELS(avx512, HDETR_AVX512, 16, 8)
#undef HDETR_KERNELS

template <class Real>
int lanes() {
  constexpr int kShare = sizeof(Real) == 4 ? 1 : 2;
  return choose(4, 8 / kShare, 16 / kShare);
}

template <class Arguments>
void dispatch(const Arguments& arguments, int64_t first, int64_t last, int64_t planes) {
  using Points = typename Arguments::Points;
  using Real = typename Points::Real;
  const Sizes& sizes = arguments.sizes;
  const Layout layout = Layout::choose<Real>(sizes, arguments.value.type, lanes<Real>());
  const Scratch<Real> scratch(sizes, layout, planes, SourceKernels<Points, 4>::kept(sizes));
  using Run = void(const Arguments&, int64_t, int64_t, const Scratch<Real>&);
  return choose<Run*>(run_baseline<Points>, run_avx2<Points>, run_avx512<Points>)(arguments, first,
                                                                                  last, scratch);
}

template <class Points>
int64_t count_tasks(const ForwardArguments<Points>& arguments) {
  using Real = typename Points::Real;
  const Sizes& sizes = arguments.sizes;
  const Layout layout = Layout::choose<Real>(sizes, arguments.value.type, lanes<Real>());
  if (layout.direct) return sizes.batch * divide_up(sizes.queries, kDirectQueries);
  return sizes.batch * sizes.heads * divide_up(sizes.queries, kPlaneQueries);
}

template <class Points>
int64_t count_tasks(const BackwardArguments<Points>& arguments) {
  const Sizes& sizes = arguments.sizes;
  return sizes.batch * sizes.heads * sizes.levels;
}

template <class Points>
void run_tasks(const ForwardArguments<Points>& arguments, int64_t first, int64_t last) {
  dispatch(arguments, first, last, 1);
}

template <class Points>
void run_tasks(const BackwardArguments<Points>& arguments, int64_t first, int64_t last) {
  dispatch(arguments, first, last, 2);
}

#define HDETR_INSTANTIATE_TASKS(Arguments)                  \
  template int64_t count_tasks(const Arguments& arguments); \
  template void run_tasks(const Arguments& arguments, int64_t first, int64_t last);

}  // namespace hdetr
