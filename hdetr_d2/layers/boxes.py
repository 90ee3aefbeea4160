"""Coordinates as a head predicts them."""

import torch
from torch import Tensor


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """The logit of `x`, any shape, with both odds kept at least `eps`."""
    return torch.log(x.clamp(eps, 1.0) / (1 - x).clamp(eps, 1.0))
