"""Determines where transforms put an image, by applying them to a grid of boxes."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.data.sample import Sample
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Outline

# Cells of the grid per axis; after a crop at least `FEWEST` must remain.
CELLS, FEWEST = 32, 3
# A cell that has lost more than this fraction of a side was cropped.
CUT = 1e-3
# Pixels by which a cell may deviate from its expected position.
TOLERANCE = 0.1
# Edges this close to a whole pixel are snapped to it: boxes are float32.
SNAP = 0.01
# Cells of a 1 x 1 image, xyxy.
_CORNERS = torch.cartesian_prod(*[torch.arange(CELLS, dtype=torch.float64)] * 2).flip(1)
UNIT_GRID = torch.cat([_CORNERS, _CORNERS + 1], dim=1) / CELLS


class _NoOutline(Exception):
    """The reason why there is none."""


def outlined(transforms: v2.Compose, image: tv_tensors.Image) -> tuple[Tensor, Outline | None]:
    """Transforms an image, and determines where the original lies in the result.

    Args:
        transforms: applied to a sample with boxes and labels.
        image: [C, H, W].

    Returns:
        The image after `transforms`, [C, H', W'], and the original's outline in it; None if the
        original fills it from edge to edge, as after a resize.

    Raises:
        UserError: detections cannot be mapped back, as after a rotation.
    """
    sample = transforms(_with_grid(image))
    try:
        outline = _outline(sample, *image.shape[-2:])
    except _NoOutline as error:
        raise UserError(
            f"dataloader.test.mapper.augmentations: {_culprit(transforms, image)} {error}, so that "
            "detections cannot be brought back to the original image; resize, pad, crop and flip "
            "can be undone"
        ) from None
    height, width = sample["image"].shape[-2:]
    return sample["image"], None if outline == (0, 0, width, height) else outline


def _with_grid(image: tv_tensors.Image) -> Sample:
    height, width = image.shape[-2:]
    # Boxes, not key points, which are mirrored at the centre of the last pixel.
    boxes = tv_tensors.BoundingBoxes(
        _grid(height, width).float(), format="XYXY", canvas_size=(height, width)
    )
    # Transforms may drop boxes: the labels tell which ones remain.
    return {"image": image, "boxes": boxes, "labels": torch.arange(CELLS**2)}


def _grid(height: int, width: int) -> Tensor:
    """The cells of the grid, float64 [CELLS * CELLS, 4] xyxy, row by row."""
    return UNIT_GRID * UNIT_GRID.new_tensor([width, height, width, height])


def _outline(sample: Sample, height: int, width: int) -> Outline:
    """From the transformed grid of an image of `height` and `width`."""
    size = (sample["image"].shape[-2], sample["image"].shape[-1])
    if tuple(getattr(sample["boxes"], "canvas_size", size)) != size:
        raise _NoOutline("changes the image and not the boxes")
    moved, labels = sample["boxes"].as_subclass(Tensor).double(), sample["labels"]
    if len(moved) == CELLS**2 and bool(((moved - _grid(*size)[labels]).abs() < SNAP).all()):
        return Outline(0, 0, size[1], size[0])  # a fast path for most images
    whole = _whole(moved[:, 2:] - moved[:, :2], labels)
    before, after = (_centers(boxes[whole]) for boxes in (_grid(height, width)[labels], moved))
    # Each axis is fitted separately: after = slope * before + start.
    mean = before.mean(0)
    slope = ((before - mean) * after).sum(0) / (before - mean).square().sum(0)
    start = after.mean(0) - slope * mean
    if not bool(((slope * before + start - after).abs() < TOLERANCE).all()):
        raise _NoOutline("turns or bends images")
    stop = start + slope * before.new_tensor([width, height])
    return Outline(*map(_snapped, torch.cat([start, stop]).tolist()))


def _whole(sides: Tensor, labels: Tensor) -> Tensor:
    """Which cells, with `sides` [n, 2], were not cropped: bool [n]. They form a rectangle of the
    grid, surrounded by cropped ones.
    """
    solid = (sides > 0).all(1)
    if not bool(solid.any()):
        raise _NoOutline("leaves nothing of an image")
    whole = solid & (sides >= sides[solid].amax(0) * (1 - CUT)).all(1)
    places = torch.stack([labels // CELLS, labels % CELLS], dim=1)
    first, last = places[whole].amin(0), places[whole].amax(0)
    inside = ((places >= first) & (places <= last)).all(1)
    around = ((places >= first - 1) & (places <= last + 1)).all(1)
    if not torch.equal(whole, inside) or bool((solid & ~around).any()):
        raise _NoOutline("turns or bends images")
    if int((last - first).min()) + 1 < FEWEST:
        raise _NoOutline(f"leaves less than about {(FEWEST + 1) / CELLS:.0%} of a side of an image")
    return whole


def _centers(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _snapped(edge: float) -> float:
    return round(edge) if abs(edge - round(edge)) < SNAP else edge


def _culprit(transforms: v2.Compose, image: tv_tensors.Image) -> str:
    """The name of the first transform that has no outline by itself, or else of all together."""
    names = [getattr(each, "__name__", type(each).__name__) for each in transforms.transforms]
    for name, transform in zip(names, transforms.transforms, strict=True):
        try:
            _outline(transform(_with_grid(image)), *image.shape[-2:])
        except _NoOutline:
            return name
    return " then ".join(names)
