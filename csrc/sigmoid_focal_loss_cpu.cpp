#include "sigmoid_focal_loss_cpu.h"

#include "instruction_set.h"
#include "sigmoid_focal_loss_cpu_kernels.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(suffix, attribute, lanes)                                                    \
  attribute void sum_losses_##suffix(const FocalArguments& arguments, int64_t first, int64_t last, \
                                     double* sums) {                                               \
    FocalKernels<lanes>::sum_losses(arguments, first, last, sums);                                 \
  }                                                                                                \
  attribute void differentiate_##suffix(const FocalArguments& arguments, const float* grad_loss,   \
                                        const Array& grad_logits, int64_t first, int64_t last) {   \
    FocalKernels<lanes>::differentiate_tasks(arguments, grad_loss, grad_logits, first, last);      \
  }
HDETR_KERNELS(baseline, , 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8)
HDETR_KERNELS(avx512, HDETR_AVX512, 16)
#undef HDETR_KERNELS

}  // namespace

int64_t count_tasks(const FocalSizes& sizes) {
  return sizes.layers * FocalTasks::of(sizes).per_layer;
}

void sum_losses(const FocalArguments& arguments, int64_t first, int64_t last, double* sums) {
  return choose(sum_losses_baseline, sum_losses_avx2, sum_losses_avx512)(arguments, first, last,
                                                                         sums);
}

void add_sums(const FocalSizes& sizes, const double* sums, float* loss) {
  const int64_t tasks = FocalTasks::of(sizes).per_layer;
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    double total = 0;
    for (int64_t task = 0; task < tasks; ++task) total += *sums++;
    loss[layer] = static_cast<float>(total);
  }
}

void differentiate(const FocalArguments& arguments, const float* grad_loss,
                   const Array& grad_logits, int64_t first, int64_t last) {
  return choose(differentiate_baseline, differentiate_avx2, differentiate_avx512)(
      arguments, grad_loss, grad_logits, first, last);
}

}  // namespace hdetr
