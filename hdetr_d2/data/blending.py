"""Blending of two images."""

from typing import Protocol

import torch
from torch import Tensor

from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Sample


class Blend(Protocol):
    """Blends something from another image into an image, after the augmentations of both.

    when: decides whether it happens to an image.
    """

    when: During

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        """A new sample; both inputs are unchanged."""


def uniform(low: float, high: float) -> float:
    """A random number in [low, high]."""
    return low + float(torch.rand(())) * (high - low)


def mixed(one: Tensor, two: Tensor, share: float) -> Tensor:
    """`share` of the pixel values of `one` plus the rest from `two`, in the dtype of `one`."""
    both = one.float() * share + two.float() * (1 - share)
    return both.to(one.dtype) if one.is_floating_point() else both.round().to(one.dtype)
