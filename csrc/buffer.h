// Aligned, uninitialised memory for kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace hdetr {

inline constexpr std::size_t kCacheLine = 64;  // and the width of the largest vector

template <class Element>
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<Element*>(
            ::operator new(size * sizeof(Element), std::align_val_t(kCacheLine)))) {}
  Element* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(Element* data) const { ::operator delete(data, std::align_val_t(kCacheLine)); }
  };
  std::unique_ptr<Element[], Free> data_;
};

}  // namespace hdetr
