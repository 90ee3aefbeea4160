"""Two images seen through each other."""

from typing import Protocol

import torch
from torch import Tensor

from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Sample


class Blend(Protocol):
    """Puts something of another image into one, after the augmentations of both.

    when: it happens to an image.
    """

    when: During

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        """A new sample; both others stay as they are."""


def uniform(low: float, high: float) -> float:
    """A random number in [low, high]."""
    return low + float(torch.rand(())) * (high - low)


def mixed(one: Tensor, two: Tensor, share: float) -> Tensor:
    """`share` of the pixels of `one` and the rest of those of `two`, in the type of `one`."""
    both = one.float() * share + two.float() * (1 - share)
    return both.to(one.dtype) if one.is_floating_point() else both.round().to(one.dtype)
