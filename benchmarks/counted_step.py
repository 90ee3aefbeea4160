"""The number of operations of a step, derived from shapes alone: nothing is computed."""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


def count_operations(model: Any, height: int, width: int) -> tuple[int, int]:
    """In products and convolutions, for one image, from its pixels to classes and boxes: of the
    forward pass, and of both passes. Not included are additional queries and heads of schemes,
    matching and losses (which depend on the objects), and the sampling of deformable attention.

    Args:
        model: a detector in training mode.
    """
    learned = [each for each in model.parameters() if each.requires_grad]
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        maps = model.encode([torch.empty(3, height, width)])
        found = model.predict(maps.memory)
        forward = counter.get_total_flops()
        total = found.logits.sum() + found.boxes.sum()
        torch.autograd.grad(total, learned, allow_unused=True)
    return forward, counter.get_total_flops()
