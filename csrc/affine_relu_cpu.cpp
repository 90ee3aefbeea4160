#include "affine_relu_cpu.h"

#include "affine_relu_cpu_kernels.h"
#include "instruction_set.h"

namespace hdetr {
namespace {

#define HDETR_KERNELS(suffix, attribute, lanes)                                                   \
  attribute void apply_##suffix(const AffineForm& form, const AffineInputs& inputs,               \
                                const Array& y, int64_t first, int64_t last) {                    \
    AffineKernels<lanes>::apply(form, inputs, y, first, last);                                    \
  }                                                                                               \
  attribute void differentiate_##suffix(const AffineForm& form, const AffineGradients& gradients, \
                                        int64_t first, int64_t last) {                            \
    AffineKernels<lanes>::differentiate(form, gradients, first, last);                            \
  }
HDETR_KERNELS(baseline, , 4)
HDETR_KERNELS(avx2, HDETR_AVX2, 8)
HDETR_KERNELS(avx512, HDETR_AVX512, 16)
#undef HDETR_KERNELS

}  // namespace

int64_t count_tasks(const AffineForm& form) { return AffineRows::of(form).tasks(); }

void apply_affine(const AffineForm& form, const AffineInputs& inputs, const Array& y, int64_t first,
                  int64_t last) {
  choose(apply_baseline, apply_avx2, apply_avx512)(form, inputs, y, first, last);
}

void differentiate_affine(const AffineForm& form, const AffineGradients& gradients, int64_t first,
                          int64_t last) {
  choose(differentiate_baseline, differentiate_avx2, differentiate_avx512)(form, gradients, first,
                                                                           last);
}

}  // namespace hdetr
