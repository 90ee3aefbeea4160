// affine_relu on CUDA. All pointers are device pointers; nothing here waits for the device.
#pragma once

#include <cuda_runtime_api.h>

#include "affine_relu.h"
#include "cuda_cut.h"

namespace hdetr::cuda {

// All arrays have the same type.
cudaError_t launch_affine_relu(const AffineForm& form, const AffineInputs& inputs, const Array& y,
                               const Cut& cut, cudaStream_t stream);
cudaError_t launch_affine_relu_backward(const AffineForm& form, const AffineGradients& gradients,
                                        const Cut& cut, cudaStream_t stream);

}  // namespace hdetr::cuda
