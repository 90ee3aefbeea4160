"""Mixup: blends a whole second image into the first, and keeps the objects of both (DEIM,
https://arxiv.org/abs/2412.04234).
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data.blending import mixed, uniform
from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Sample, moved, together, visible


class MixUp:
    """Mixes the pixels where both images overlap, with their top left corners aligned; what exceeds
    the first is cropped.
    """

    def __init__(self, *, when: During, share: Sequence[float] = (0.45, 0.55)) -> None:
        """
        Args:
            when: decides whether it happens to an image.
            share: range of the weight of the first image.
        """
        self.when = when
        self.low, self.high = share

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        share = uniform(self.low, self.high)
        image = sample["image"].as_subclass(Tensor).clone()
        other_size, size = other["image"].shape[-2:], image.shape[-2:]
        height, width = (min(sides) for sides in zip(size, other_size, strict=True))
        crop = partial(F.crop, top=0, left=0, height=size[0], width=size[1])
        cut = moved({**other, "image": crop(other["image"])}, crop)
        common = image[:, :height, :width]
        common.copy_(mixed(common, cut["image"][:, :height, :width].as_subclass(Tensor), share))
        return together(image, [sample, visible(cut)[0]])
