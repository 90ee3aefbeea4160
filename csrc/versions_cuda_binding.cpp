// The CUDA versions involved, to be compared before a kernel is called.
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/library.h>

#include <cstdint>
#include <tuple>

namespace hdetr::cuda {
namespace {

// The latest version supported by the driver, 0 without one, and that of these kernels; 13020 is
// 13.2.
std::tuple<int64_t, int64_t> versions() {
  int driver = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaGetLastError();  // set if there is no driver: no launch must be blamed
  return {driver, CUDART_VERSION};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(hdetr_d2, m) { m.def("cuda_versions() -> (int, int)"); }

STABLE_TORCH_LIBRARY_IMPL(hdetr_d2, CompositeExplicitAutograd, m) {
  m.impl("cuda_versions", TORCH_BOX(&versions));
}

}  // namespace hdetr::cuda
