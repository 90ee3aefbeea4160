#include "box_losses_cpu.h"

namespace hdetr {

// Few rows have a target, at scattered positions, so nothing can be vectorised.
void box_losses(const BoxLossArguments& arguments, BoxLoss* losses, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) losses[row] = loss_at(arguments, row);
}

void differentiate_boxes(const BoxLossArguments& arguments, const BoxLoss* grad_losses,
                         BoxSlope* grad_boxes, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    grad_boxes[row] = slope_at(arguments, grad_losses[row], row);
  }
}

}  // namespace hdetr
