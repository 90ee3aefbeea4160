// Memory that only kernels see.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/macros.h>

#include <cstdint>

namespace hdetr::cuda {

// On the current device and its current stream, whose later work may have the memory afterwards.
// Not a tensor: in PyTorch's deterministic mode a new one is filled, and these are written by a
// kernel before another one reads them.
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
