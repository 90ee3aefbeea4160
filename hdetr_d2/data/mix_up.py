"""Mixup: a whole second image, half seen through the first, with the objects of both
(DEIM, https://arxiv.org/abs/2412.04234).
"""

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data.blending import mixed, uniform
from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Sample, together, visible


class MixUp:
    """Mixes the pixels where both images are, from their top left corners on; what lies outside of
    the first is cut off.
    """

    def __init__(self, *, when: During, share: Sequence[float] = (0.45, 0.55)) -> None:
        """
        Args:
            when: it happens to an image.
            share: range of the part that its own pixels have.
        """
        self.when = when
        self.low, self.high = share

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        share = uniform(self.low, self.high)
        image = sample["image"].as_subclass(Tensor).clone()
        other_size, size = other["image"].shape[-2:], image.shape[-2:]
        height, width = (min(sides) for sides in zip(size, other_size, strict=True))
        cut = _cut(other, *size)
        common = image[:, :height, :width]
        common.copy_(mixed(common, cut["image"][:, :height, :width].as_subclass(Tensor), share))
        return together(image, [sample, visible(cut)[0]])


def _cut(sample: Sample, height: int, width: int) -> Sample:
    """What a canvas of another size holds of a sample that lies in its top left corner."""
    cut: Sample = {
        **sample,
        "image": F.crop(sample["image"], 0, 0, height, width),
        "boxes": F.crop(sample["boxes"], 0, 0, height, width),
    }
    if "masks" in sample:
        cut["masks"] = F.crop(sample["masks"], 0, 0, height, width)
    if "found_boxes" in sample:
        cut["found_boxes"] = F.crop(sample["found_boxes"], 0, 0, height, width)
    return cut
