"""Where transforms put an image: a grid of boxes goes through them with it, and tells."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.data.sample import Sample
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Outline

# Of the grid in each direction; a crop may leave `FEWEST` of them.
CELLS, FEWEST = 32, 3
# A cell that has lost more of a side than this share was cut by a crop.
CUT = 1e-3
# Pixels that a cell may lie beside its place.
TOLERANCE = 0.1
# An edge so close to a whole pixel is there: boxes are float32.
SNAP = 0.01
# Cells of an image of 1 x 1, xyxy.
_CORNERS = torch.cartesian_prod(*[torch.arange(CELLS, dtype=torch.float64)] * 2).flip(1)
UNIT_GRID = torch.cat([_CORNERS, _CORNERS + 1], dim=1) / CELLS


class _NoOutline(Exception):
    """Why there is none."""


def outlined(transforms: v2.Compose, image: tv_tensors.Image) -> tuple[Tensor, Outline | None]:
    """What an image becomes, and where it lies in that.

    Args:
        transforms: applied to a sample with boxes and labels.
        image: [C, H, W].

    Returns:
        The image after `transforms`, [C, H', W'], and its outline in that, None where it fills it
        from edge to edge: it was resized, if anything.

    Raises:
        UserError: what is found there cannot be brought back, as after a rotation.
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
    # Boxes, not key points: these are mirrored at the middle of the last pixel.
    boxes = tv_tensors.BoundingBoxes(
        _grid(height, width).float(), format="XYXY", canvas_size=(height, width)
    )
    # Transforms may leave boxes out: the labels say which ones are there.
    return {"image": image, "boxes": boxes, "labels": torch.arange(CELLS**2)}


def _grid(height: int, width: int) -> Tensor:
    """The cells of the grid, float64 [CELLS * CELLS, 4] xyxy, row by row."""
    return UNIT_GRID * UNIT_GRID.new_tensor([width, height, width, height])


def _outline(sample: Sample, height: int, width: int) -> Outline:
    """From a grid over an image of `height` and `width` after the transforms."""
    size = (sample["image"].shape[-2], sample["image"].shape[-1])
    if tuple(getattr(sample["boxes"], "canvas_size", size)) != size:
        raise _NoOutline("changes the image and not the boxes")
    moved, labels = sample["boxes"].as_subclass(Tensor).double(), sample["labels"]
    if len(moved) == CELLS**2 and bool(((moved - _grid(*size)[labels]).abs() < SNAP).all()):
        return Outline(0, 0, size[1], size[0])  # as of most images: it costs little
    whole = _whole(moved[:, 2:] - moved[:, :2], labels)
    before, after = (_centers(boxes[whole]) for boxes in (_grid(height, width)[labels], moved))
    # Each axis is a straight line of its own: after = slope * before + start.
    mean = before.mean(0)
    slope = ((before - mean) * after).sum(0) / (before - mean).square().sum(0)
    start = after.mean(0) - slope * mean
    if not bool(((slope * before + start - after).abs() < TOLERANCE).all()):
        raise _NoOutline("turns or bends images")
    stop = start + slope * before.new_tensor([width, height])
    return Outline(*map(_snapped, torch.cat([start, stop]).tolist()))


def _whole(sides: Tensor, labels: Tensor) -> Tensor:
    """Which cells, with `sides` [n, 2], no crop has cut: bool [n]. They are a rectangle of the
    grid, and those around it are cut.
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
    """The name of the first transform that has no outline by itself, or of all together."""
    names = [getattr(each, "__name__", type(each).__name__) for each in transforms.transforms]
    for name, transform in zip(names, transforms.transforms, strict=True):
        try:
            _outline(transform(_with_grid(image)), *image.shape[-2:])
        except _NoOutline:
            return name
    return " then ".join(names)
