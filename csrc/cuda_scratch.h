// Memory used only by kernels.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/macros.h>

#include <cstdint>

namespace hdetr::cuda {

// On the current device and its current stream; work queued there later may reuse the memory. Not a
// tensor: PyTorch's deterministic mode fills new tensors, but these are always written by a kernel
// before another one reads them.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) {
    TORCH_ERROR_CODE_CHECK(aoti_torch_cuda_caching_allocator_raw_alloc(uint64_t(bytes), &data_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_) (void)aoti_torch_cuda_caching_allocator_raw_delete(data_);
  }
  void* get() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace hdetr::cuda
