"""The ground truth of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch import Tensor

from hdetr_d2.errors import UserError
from hdetr_d2.utils.device import lay, to_device, travel


@dataclass
class Targets:
    """The ground truth of a batch, padded to the image with the most objects (at least 1).

    labels: `Tensor[B, G]` int64. boxes: `Tensor[B, G, 4]` cxcywh, normalised to the unpadded image.
    valid: `Tensor[B, G]` bool; real targets come first. masks: `Tensor[B, G, H, W]` bool, in pixels
    of the largest image of the batch, False in the padding; None if no masks are learned.
    """

    labels: Tensor
    boxes: Tensor
    valid: Tensor
    masks: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """`Tensor[B]` int64: number of objects in each image."""
        return self.valid.sum(1)

    def class_agnostic(self) -> "Targets":
        """The same targets with label 0 everywhere, for two-stage proposals."""
        return replace(self, labels=torch.zeros_like(self.labels))

    @classmethod
    def from_inputs(
        cls,
        batched_inputs: Sequence[dict],
        num_classes: int,
        device: torch.device,
        with_masks: bool = False,
        sizes: Sequence[tuple[int, int]] | None = None,
        at_least: int = 1,
    ) -> "Targets":
        """Creates targets from Detectron2's training inputs (`instances` with `gt_boxes`,
        `gt_classes` and, for `with_masks`, `gt_masks` as bitmaps or polygons).

        Tensors are checked and padded on the loader's device, and copied to `device` once.

        Args:
            sizes: (H, W) in pixels, to which boxes are normalised; None for the sizes of the
                images.
            at_least: minimum number of targets to pad to.

        Raises:
            UserError: an input without instances, a label outside of [0, num_classes), a box that
                is not finite or has no area, or masks that are missing or of the wrong size. The
                message names the image.
        """
        instances = [_instances_of(item) for item in batched_inputs]
        counts = [len(each) for each in instances]
        labels = torch.cat([each.gt_classes for each in instances])
        xyxy = torch.cat([each.gt_boxes.tensor.float() for each in instances])
        # The check reads values on the host: free for a loader's tensors, skipped for others.
        if labels.device.type == "cpu":
            _check_rows(labels, xyxy, num_classes, batched_inputs, counts)
        frames = [(w, h, w, h) for h, w in sizes or [each.image_size for each in instances]]
        x0, y0, x1, y1 = (xyxy / _of_rows(to_device(frames, xyxy), counts)).unbind(-1)
        boxes = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
        most = max([at_least, *counts])
        valid = torch.arange(most, device="cpu") < torch.tensor(counts, device="cpu")[:, None]
        labels, boxes = (_pad_rows(rows, valid) for rows in (labels, boxes))
        parts = [travel(part, device) for part in (labels, boxes, valid)]
        if with_masks:
            masks = [_masks_of(item) for item in batched_inputs]
            parts.append(_pad_masks(masks, most, device))
        return cls(*parts)


def _of_rows(per_image: Tensor, counts: Sequence[int]) -> Tensor:
    """Repeats the values of each image, `Tensor[B, N]`, for each of its rows."""
    rows = torch.tensor(counts, device=per_image.device)
    return per_image.repeat_interleave(rows, 0, output_size=sum(counts))


def _pad_rows(rows: Tensor, valid: Tensor) -> Tensor:
    """The concatenated rows of all images as `Tensor[B, G, ...]`, where `valid` is true."""
    padded = rows.new_zeros(*valid.shape, *rows.shape[1:])
    padded[valid] = rows
    return padded


def _pad_masks(masks: Sequence[Tensor], length: int, device: torch.device) -> Tensor:
    """Masks `Tensor[G_i, H_i, W_i]` of each image as `Tensor[B, length, H, W]` on `device`. Padding
    happens there, so that most of it is not copied.
    """
    height, width = (max(m.shape[axis] for m in masks) for axis in (1, 2))
    shape = (len(masks), length, height, width)
    padded = torch.zeros(shape, dtype=torch.bool, device=device)
    for row, given in zip(padded, masks, strict=True):
        lay(given, row[: len(given), : given.shape[1], : given.shape[2]])
    return padded


def _name(item: dict) -> str:
    return f"image {item.get('image_id', '?')} ({item.get('file_name', 'no file name')})"


def _masks_of(item: dict) -> Tensor:
    """The masks `Tensor[G, H, W]` bool of one input; polygons are rasterised on the host."""
    instances: Instances = item["instances"]
    height, width = instances.image_size
    if not len(instances):  # without objects, Detectron2's mappers omit masks
        return instances.gt_classes.new_zeros(0, height, width, dtype=torch.bool)
    if not instances.has("gt_masks"):
        raise UserError(
            f"{_name(item)} has no 'gt_masks', which a model with a mask head learns: "
            "set dataloader.train.mapper.with_masks=true."
        )
    masks = instances.gt_masks
    if isinstance(masks, PolygonMasks):
        masks = BitMasks.from_polygon_masks(masks, height, width)
    if tuple(masks.tensor.shape[1:]) != (height, width):
        raise UserError(
            f"{_name(item)} has {height} x {width} pixels, but masks of "
            f"{' x '.join(map(str, masks.tensor.shape[1:]))}."
        )
    return masks.tensor


def _instances_of(item: dict) -> Instances:
    if "instances" not in item:
        raise UserError(f"{_name(item)} has no 'instances', which training needs.")
    return item["instances"]


def _check_rows(
    labels: Tensor, xyxy: Tensor, num_classes: int, items: Sequence[dict], counts: Sequence[int]
) -> None:
    """Raises UserError for the first invalid label or, if there is none, the first invalid box."""

    def image_of(row: int) -> str:
        ends = accumulate(counts)
        return next(_name(item) for item, end in zip(items, ends, strict=True) if row < end)

    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        row = int(outside.int().argmax())
        raise UserError(
            f"{image_of(row)} has the label {labels[row].item()}, but the model knows the classes "
            f"0 to {num_classes - 1}: check data.num_classes and the annotation file."
        )
    broken = ~torch.isfinite(xyxy).all(1) | (xyxy[:, 2:] <= xyxy[:, :2]).any(1)
    if broken.any():
        row = int(broken.int().argmax())
        raise UserError(
            f"{image_of(row)} has the box {xyxy[row].tolist()} (x0, y0, x1, y1), "
            "which is not finite or has no area."
        )
