"""An image on its way through the augmentations, with its objects."""

from collections.abc import Callable, Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torchvision import tv_tensors

from hdetr_d2.data.bitmaps import any_of


class Found(TypedDict):
    """A teacher's detections on an image."""

    boxes: tv_tensors.BoundingBoxes  # float [m, 4] xyxy in pixels
    labels: Tensor  # int64 [m]
    scores: Tensor  # float [m], in [0, 1]


class Sample(TypedDict, total=False):
    """An image on its way through the augmentations."""

    image: tv_tensors.Image  # [C, H, W], 0 to 255: uint8 in RGB, or float32
    boxes: tv_tensors.BoundingBoxes  # float [n, 4] xyxy in pixels
    labels: Tensor  # int64 [n]
    masks: tv_tensors.Mask  # bool [n, H, W], only if something needs them
    found: Found  # only if there is a teacher


def select(sample: Sample, keep: Tensor) -> Sample:
    """The sample with only the objects where `keep` bool [n] is true, and all of the teacher's."""
    chosen: Sample = {
        **sample,
        "boxes": tv_tensors.wrap(sample["boxes"][keep], like=sample["boxes"]),
        "labels": sample["labels"][keep],
    }
    if "masks" in sample:
        chosen["masks"] = tv_tensors.wrap(sample["masks"][keep], like=sample["masks"])
    return chosen


def select_found(found: Found, keep: Tensor) -> Found:
    """Only those where `keep` bool [m] is true."""
    return {
        "boxes": tv_tensors.wrap(found["boxes"][keep], like=found["boxes"]),
        "labels": found["labels"][keep],
        "scores": found["scores"][keep],
    }


def moved(sample: Sample, move: Callable[[Tensor], Tensor]) -> Sample:
    """The sample with boxes and masks, including the teacher's, transformed by `move`; the image is
    unchanged.
    """
    placed: Sample = {**sample, "boxes": move(sample["boxes"])}
    if "masks" in sample:
        placed["masks"] = move(sample["masks"])
    if "found" in sample:
        placed["found"] = {**sample["found"], "boxes": move(sample["found"]["boxes"])}
    return placed


def visible(sample: Sample) -> tuple[Sample, int]:
    """The sample without objects (also of a teacher) whose visible box is smaller than a pixel or
    whose mask is empty; and the number of true objects that are lost because of their size, not
    because an edge of the picture cuts them.
    """
    boxes = sample["boxes"].as_subclass(Tensor)
    large = _is_large(boxes)
    height, width = sample["image"].shape[-2:]
    inside = (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < boxes.new_tensor([width, height])).all(1)
    seen = large
    if "masks" in sample:
        seen = large & any_of(sample["masks"].as_subclass(Tensor), 1, 2)
    chosen = select(sample, seen)
    if "found" in sample:
        found = sample["found"]
        chosen["found"] = select_found(found, _is_large(found["boxes"].as_subclass(Tensor)))
    return chosen, int((inside & ~large).sum())


def _is_large(boxes: Tensor) -> Tensor:
    """Which boxes [n, 4] have at least a pixel in both directions: bool [n]."""
    return (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)


def together(image: Tensor, samples: Sequence[Sample]) -> Sample:
    """Merges the objects of several samples, whose coordinates refer to `image` [C, H, W]."""
    boxes = torch.cat([each["boxes"].as_subclass(Tensor) for each in samples])
    size = (image.shape[-2], image.shape[-1])
    joined: Sample = {
        "image": tv_tensors.Image(image),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size),
        "labels": torch.cat([each["labels"] for each in samples]),
    }
    if all("masks" in each for each in samples):
        masks = torch.cat([each["masks"].as_subclass(Tensor) for each in samples])
        joined["masks"] = tv_tensors.Mask(masks)
    if found := [each["found"] for each in samples if "found" in each]:
        boxes = torch.cat([each["boxes"].as_subclass(Tensor) for each in found])
        joined["found"] = {
            "boxes": tv_tensors.wrap(boxes, like=joined["boxes"]),
            "labels": torch.cat([each["labels"] for each in found]),
            "scores": torch.cat([each["scores"] for each in found]),
        }
    return joined
