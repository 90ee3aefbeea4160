// The tasks of ms_deform_attn_cpu.h on PyTorch's threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>

#include "ms_deform_attn_cpu.h"

namespace hdetr {

template <class Arguments>
void run_in_parallel(const Arguments& arguments) {
  torch::stable::parallel_for(0, count_tasks(arguments), 1, [&](int64_t first, int64_t last) {
    run_tasks(arguments, first, last);
  });
}

}  // namespace hdetr
