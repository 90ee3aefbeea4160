"""Mosaics: four images in one, for dense one-to-one training (DEIM,
https://arxiv.org/abs/2412.04234).
"""

from collections.abc import Sequence
from functools import partial

from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Sample, moved, together
from hdetr_d2.data.transforms import OWN_RULE, RandomShortSide
from hdetr_d2.pixels.resize_rule import ResizeRule

OTHERS = 3
"""Number of further images in a mosaic."""


class Mosaic:
    """Lays out four images in two rows of equal cells, as large as the largest image, then randomly
    rotates, translates and scales the whole.
    """

    def __init__(
        self,
        *,
        when: During,
        side: int = 320,
        max_size: int | None = None,
        rotation: float = 10.0,
        translation: Sequence[float] = (0.1, 0.1),
        scale: Sequence[float] = (0.5, 1.5),
        fill: int = 0,
        augmentations: Sequence[v2.Transform] | None = None,
        rule: ResizeRule = OWN_RULE,
    ) -> None:
        """
        Args:
            when: decides whether it happens to an image.
            side, max_size: of each of the four images in pixels, as in `RandomShortSide`.
            rotation: maximum angle in degrees; boxes enclose the rotated boxes.
            translation: maximum, as a fraction of width and height.
            scale: range of the factor.
            fill: grey value where there is no image.
            augmentations: of mosaics, instead of the mapper's; None for the mapper's.
            rule: for resizing.
        """
        self.when = when
        self.resize = RandomShortSide([side], max_size, rule)
        self.fill = fill
        self.affine = v2.RandomAffine(
            rotation,
            tuple(translation),
            tuple(scale),
            fill={tv_tensors.Image: fill, "others": 0},
        )
        self.augmentations = None if augmentations is None else tuple(augmentations)

    def __call__(self, samples: Sequence[Sample]) -> Sample:
        """Combines four samples, which are unchanged."""
        return self.affine(self.lay_out([self.resize(sample) for sample in samples]))

    def lay_out(self, samples: Sequence[Sample]) -> Sample:
        """Four samples in two rows, each in the top left corner of its cell."""
        sizes = [sample["image"].shape[-2:] for sample in samples]
        height, width = (max(sides) for sides in zip(*sizes, strict=True))
        first = samples[0]["image"]
        canvas = first.new_full((first.shape[0], 2 * height, 2 * width), self.fill)
        placed = []
        for index, (sample, (h, w)) in enumerate(zip(samples, sizes, strict=True)):
            top, left = index // 2 * height, index % 2 * width
            canvas[:, top : top + h, left : left + w] = sample["image"]
            edges = [left, top, 2 * width - left - w, 2 * height - top - h]
            placed.append(moved(sample, partial(F.pad, padding=edges)))
        return together(canvas, placed)
