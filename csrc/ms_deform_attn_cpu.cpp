#include "ms_deform_attn_cpu.h"

#include "ms_deform_attn_cpu_dispatch.h"
#include "ms_deform_attn_cpu_given.h"

namespace hdetr {

HDETR_INSTANTIATE_TASKS(ForwardArguments<GivenPoints<float>>)
HDETR_INSTANTIATE_TASKS(ForwardArguments<GivenPoints<double>>)
HDETR_INSTANTIATE_TASKS(BackwardArguments<GivenPoints<float>>)
HDETR_INSTANTIATE_TASKS(BackwardArguments<GivenPoints<double>>)

int64_t vector_bits() { return lanes<float>() * 32; }

}  // namespace hdetr
