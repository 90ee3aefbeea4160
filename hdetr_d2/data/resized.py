"""The sizes of objects after a recipe has resized their images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.structures import BoxMode
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.utils.random_state import seeded

# The largest of this many draws counts: an object that is lost in all of them is hardly ever seen.
DRAWS = 4
# The longer side of every resized image has at least this many pixels, whatever the recipe.
SMALLEST = 160
# Probe squares that measure how the transforms scale an image: their number per axis, and their
# side as a fraction of the shorter side. A crop leaves some of them complete.
SQUARES, SHARE = 8, 1 / 32
# Exceptions of transforms that require an image.
WITHOUT_IMAGE = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)
# The precision of float32 for boxes of some thousand pixels.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Resized:
    """The objects of a data set, without crowds, before and after the transforms.

    Attributes:
        image_ids: of each object, [N].
        images: float [N, 2], width and height of each object's image.
        sides: float [N, 2], width and height of its box, clipped to the image.
        scales: float [N, 2], the factors on both.
    """

    image_ids: Sequence
    images: np.ndarray
    sides: np.ndarray
    scales: np.ndarray

    def areas(self) -> np.ndarray:
        """Area of each box in pixels after the transforms, [N]."""
        return (self.sides * self.scales).prod(1)

    def lost(self) -> np.ndarray:
        """Which objects are less than a pixel wide or high after the transforms: bool [N]."""
        return ((self.sides * self.scales).min(1) < 1 - TOLERANCE) & (self.sides > 0).all(1)

    def describe_lost(self, total: int | None = None) -> str | None:
        """A sentence about the lost objects, out of `total` (None: of those here); None if there
        are none.

        It states the smallest image size that would keep all objects that have a pixel in their
        files.
        """
        lost = self.lost()
        if not lost.any():
            return None
        ids = list(dict.fromkeys(i for i, gone in zip(self.image_ids, lost, strict=True) if gone))
        more = f" and {len(ids) - 3} more" if ids[3:] else ""
        text = (
            f"{lost.sum()} of {total or len(lost)} objects (in image "
            f"{', '.join(map(str, ids[:3]))}{more}) are less than a pixel wide or high "
            "after the resize, and are not learned"
        )
        return text + self._remedy(lost & (self.sides.min(1) >= 1))

    def _remedy(self, lost: np.ndarray) -> str:
        if not lost.any():
            return "; they have no pixel in their files either"
        before, scales = self.images[lost], self.scales[lost]
        # The smallest scale that makes the shorter side of the box one pixel.
        needed = before / self.sides[lost].min(1, keepdims=True)
        worst = int(needed.max(1).argmax())
        width, height = (before * scales)[worst].round().astype(int)
        shorter, longer = (math.ceil(v - TOLERANCE) for v in (needed.min(1).max(), needed.max()))
        size = " x ".join(f"{side:g}" for side in before[worst])
        return (
            f" ({size} becomes {width} x {height}); images with a shorter side of at least "
            f"{shorter} and a longer one of at least {longer} pixels would keep them: `sides` and "
            "`max_size` of the augmentations"
        )


def resized(dicts: Sequence[dict], transform: v2.Transform) -> Resized | None:
    """Determines how `transform` resizes the objects of a data set, without reading images.

    Args:
        dicts: Detectron2's entries, with the sizes of their images.
        transform: called with boxes only.

    Returns:
        None if that is impossible: an entry has no size, or a transform needs pixels.
    """
    if not all("width" in entry and "height" in entry for entry in dicts):
        return None
    sizes = np.array([(d["width"], d["height"]) for d in dicts], np.float64).reshape(-1, 2)
    try:
        scales = _scales(sizes, transform)
    except WITHOUT_IMAGE:
        return None
    boxes = [_boxes(entry) for entry in dicts]
    counts = [len(each) for each in boxes]
    images = sizes.repeat(counts, 0)
    corners = np.concatenate([np.zeros((0, 4)), *boxes]).reshape(-1, 2, 2)
    corners = corners.clip(0, images[:, None])
    ids = np.repeat(np.arange(len(dicts)), counts)
    return Resized(
        [dicts[int(i)].get("image_id") for i in ids],
        images,
        corners[:, 1] - corners[:, 0],
        scales.repeat(counts, 0),
    )


def describe_lost(dicts: Sequence[dict], transform: v2.Transform) -> str | None:
    """`Resized.describe_lost` for a data set, computed quickly: only images with an object that may
    be lost are examined.
    """
    boxes = [_boxes(entry) for entry in dicts]
    at_risk = [
        entry
        for entry, corners in zip(dicts, boxes, strict=True)
        if _smallest(corners) * SMALLEST < max(entry.get("width", 0), entry.get("height", 0))
    ]
    found = resized(at_risk, transform) if at_risk else None
    return found.describe_lost(sum(map(len, boxes))) if found else None


def _smallest(corners: np.ndarray) -> float:
    return (corners[:, 2:] - corners[:, :2]).min(initial=math.inf)


def _boxes(entry: dict) -> np.ndarray:
    """Float [n, 4] xyxy of the objects that are not crowds."""
    objects = [a for a in entry.get("annotations", []) if not a.get("iscrowd", 0)]
    corners = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in objects]
    return np.array(corners, np.float64).reshape(-1, 4)


def _scales(sizes: np.ndarray, transform: v2.Transform) -> np.ndarray:
    """The largest scales [M, 2] of width and height for images of `sizes` [M, 2]."""
    different, place = np.unique(sizes, axis=0, return_inverse=True)
    with seeded(0):
        scales = np.array([_scale(width, height, transform) for width, height in different])
    return scales.reshape(-1, 2)[place.reshape(-1)]


def _scale(width: float, height: float, transform: v2.Transform) -> np.ndarray:
    side = min(width, height) * SHARE
    x, y = (torch.linspace(0, float(length - side), SQUARES) for length in (width, height))
    corner = torch.cartesian_prod(x, y)
    squares = tv_tensors.BoundingBoxes(
        torch.cat([corner, corner + side], dim=1),
        format="XYXY",
        canvas_size=(int(height), int(width)),
    )
    found = []
    for _ in range(DRAWS):
        corners = transform({"boxes": squares})["boxes"].as_subclass(torch.Tensor)
        found.append((corners[:, 2:] - corners[:, :2]).amax(0) / side)
    return torch.stack(found).amax(0).numpy()
