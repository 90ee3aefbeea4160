"""Copy-blend: single objects with their surroundings, blended into another place (DEIMv2,
https://arxiv.org/abs/2509.20787).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou

from hdetr_d2.data.blending import mixed, uniform
from hdetr_d2.data.during import During
from hdetr_d2.data.sample import Found, Sample, select_found, together

SAME = 0.5
"""Minimum IoU at which a teacher's box belongs to the object."""


class CopyBlend:
    """Draws objects from an image and from another one, and blends each into a random place of the
    first; objects already there stay.
    """

    def __init__(
        self,
        *,
        when: During,
        objects: int = 3,
        min_area: int = 100,
        margin: Sequence[float] = (0.1, 0.25),
        share: Sequence[float] = (0.45, 0.55),
    ) -> None:
        """
        Args:
            when: decides whether it happens to an image.
            objects: number of objects, or all if there are fewer.
            min_area: minimum box area of an object, in pixels, at least 1.
            margin: range of the margin that is blended along, as a fraction of the object's width
                and height.
            share: range of the fraction that the pixels of the place keep.
        """
        self.when = when
        self.objects = objects
        self.min_area = max(1, min_area)
        self.margin = tuple(margin)
        self.low, self.high = share

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        share = uniform(self.low, self.high)
        image = sample["image"].as_subclass(Tensor).clone()
        pool = [
            (source, index, box)
            for source in (sample, other)
            for index, box in enumerate(source["boxes"].int().tolist())
            if (box[2] - box[0]) * (box[3] - box[1]) >= self.min_area
        ]
        copies = []
        for drawn in torch.randperm(len(pool))[: self.objects].tolist():
            source, index, (left, top, right, bottom) = pool[drawn]
            columns = _Span.drawn(left, right, image.shape[-1])
            rows = _Span.drawn(top, bottom, image.shape[-2])
            self._blend(image, source["image"], rows, columns, share)
            copies.append(_copy(source, index, rows, columns, image))
        return together(image, [sample, *copies])

    def _blend(
        self, image: Tensor, source: Tensor, rows: "_Span", columns: "_Span", share: float
    ) -> None:
        """Changes `image` [3, H, W] where the object and its margin are placed."""
        margin = uniform(*self.margin)
        (from_row, row), (from_column, column) = (
            span.slices(int(span.length * margin), source.shape[axis], image.shape[axis])
            for span, axis in ((rows, -2), (columns, -1))
        )
        place, patch = image[:, row, column], source[:, from_row, from_column]
        place.copy_(mixed(place, patch.as_subclass(Tensor), share))


class _Span(NamedTuple):
    """`length` pixels along one axis, from `source` in one picture to `target` in another."""

    source: int
    target: int
    length: int

    @classmethod
    def drawn(cls, low: int, high: int, side: int) -> "_Span":
        """Placed randomly within `side`; cropped if it is longer."""
        length = min(high - low, side)
        return cls(low, int(torch.randint(side - length + 1, ())), length)

    def slices(self, margin: int, source_side: int, target_side: int) -> tuple[slice, slice]:
        """Slices of both pictures, with a margin as far as both have pixels there."""
        before = min(margin, self.source, self.target)
        behind = self.length + min(
            margin,
            source_side - self.source - self.length,
            target_side - self.target - self.length,
        )
        source, target = (slice(at - before, at + behind) for at in (self.source, self.target))
        return source, target


def _copy(source: Sample, index: int, rows: _Span, columns: _Span, image: Tensor) -> Sample:
    """The copied object, placed in `image` [3, H, W]."""
    left, top = columns.target, rows.target
    box = torch.tensor([[left, top, left + columns.length, top + rows.length]])
    copy: Sample = {
        "boxes": tv_tensors.wrap(box.float(), like=source["boxes"]),
        "labels": source["labels"][index : index + 1],
    }
    if "masks" in source:
        height, width = image.shape[-2:]
        from_row, row = rows.slices(0, source["masks"].shape[1], height)
        from_column, column = columns.slices(0, source["masks"].shape[2], width)
        mask = torch.zeros(1, height, width, dtype=torch.bool)
        mask[0, row, column] = source["masks"][index, from_row, from_column]
        copy["masks"] = tv_tensors.Mask(mask)
    if "found" in source:
        moved = (columns.target - columns.source, rows.target - rows.source)
        copy["found"] = _found(source["found"], source["boxes"][index], moved, image)
    return copy


def _found(found: Found, box: Tensor, moved: tuple[int, int], image: Tensor) -> Found:
    """The teacher's boxes of the object at `box` [4], `moved` by this many pixels to the right and
    down, within `image` [3, H, W].
    """
    boxes = found["boxes"].as_subclass(Tensor)
    chosen = select_found(found, box_iou(boxes, box[None].as_subclass(Tensor))[:, 0] >= SAME)
    height, width = image.shape[-2:]
    ends = boxes.new_tensor([width, height] * 2)
    placed = chosen["boxes"].as_subclass(Tensor) + boxes.new_tensor(moved * 2)
    placed = placed.clamp(torch.zeros(4), ends)
    return {**chosen, "boxes": tv_tensors.wrap(placed, like=chosen["boxes"])}
