"""The ground truth of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from detectron2.structures import BitMasks, Instances, PolygonMasks
from torch import Tensor

from hdetr_d2.errors import UserError


@dataclass
class Targets:
    """The ground truth of a batch, padded to the image with the most objects (at least 1).

    labels: `Tensor[B, G]` int64. boxes: `Tensor[B, G, 4]` cxcywh in [0, 1] of the image without
    padding. valid: `Tensor[B, G]` bool, the real ones come first. masks: `Tensor[B, G, H, W]` bool
    in pixels of the largest image of the batch, false in the padding; None where nothing learns
    them.
    """

    labels: Tensor
    boxes: Tensor
    valid: Tensor
    masks: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """`Tensor[B]` int64: objects of each image."""
        return self.valid.sum(1)

    def class_agnostic(self) -> "Targets":
        """The same targets with every label 0, as two-stage proposals are trained."""
        return replace(self, labels=torch.zeros_like(self.labels))

    @classmethod
    def from_inputs(
        cls,
        batched_inputs: Sequence[dict],
        num_classes: int,
        device: torch.device,
        with_masks: bool = False,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> "Targets":
        """Targets from Detectron2's training inputs (`instances` with `gt_boxes`, `gt_classes` and
        for `with_masks` also `gt_masks`, bitmaps or polygons).

        The tensors are checked and padded where the loader left them and travel to `device` once.

        Args:
            sizes: (H, W) in pixels that boxes in [0, 1] are relative to; None for those of the
                images.

        Raises:
            UserError: an input without instances, a label outside [0, num_classes), a box that is
                not finite or has no area, masks that are missing or not of the image's size; the
                sentence names the image.
        """
        whole: Sequence[tuple[int, int] | None] = sizes or [None] * len(batched_inputs)
        per_image = [
            _target_tensors(item, num_classes, size)
            for item, size in zip(batched_inputs, whole, strict=True)
        ]
        most = max([1, *(len(labels) for labels, _ in per_image)])
        counts = torch.tensor([len(labels) for labels, _ in per_image])
        labels = torch.stack([_pad_rows(labels, most) for labels, _ in per_image])
        boxes = torch.stack([_pad_rows(boxes, most) for _, boxes in per_image])
        valid = torch.arange(most) < counts[:, None]
        parts = [part.to(device, non_blocking=True) for part in (labels, boxes, valid)]
        if with_masks:
            masks = [_masks_of(item) for item in batched_inputs]
            parts.append(_pad_masks(masks, most, device))
        return cls(*parts)


def _pad_rows(rows: Tensor, length: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


def _pad_masks(masks: Sequence[Tensor], length: int, device: torch.device) -> Tensor:
    """Masks `Tensor[G_i, H_i, W_i]` of each image as `Tensor[B, length, H, W]` on `device`, where
    the padding is made: most of it need not travel.
    """
    height, width = (max(m.shape[axis] for m in masks) for axis in (1, 2))
    shape = (len(masks), length, height, width)
    padded = torch.zeros(shape, dtype=torch.bool, device=device)
    for row, given in zip(padded, masks, strict=True):
        row[: len(given), : given.shape[1], : given.shape[2]].copy_(given, non_blocking=True)
    return padded


def _name(item: dict) -> str:
    return f"image {item.get('image_id', '?')} ({item.get('file_name', 'no file name')})"


def _masks_of(item: dict) -> Tensor:
    """The masks `Tensor[G, H, W]` bool of one input, polygons filled on the host."""
    instances: Instances = item["instances"]
    height, width = instances.image_size
    if not len(instances):  # without objects, Detectron2's mappers leave masks out
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


def _target_tensors(
    item: dict, num_classes: int, size: tuple[int, int] | None
) -> tuple[Tensor, Tensor]:
    """Labels and cxcywh boxes of one input, checked; boxes are relative to (H, W), that of the
    image if it is None.
    """
    where = _name(item)
    if "instances" not in item:
        raise UserError(f"{where} has no 'instances', which training needs.")
    instances: Instances = item["instances"]
    height, width = size or instances.image_size
    labels, xyxy = instances.gt_classes, instances.gt_boxes.tensor.float()
    # A check reads values on the host: it is free for a loader's tensors and left out for others.
    if labels.device.type == "cpu":
        _check_target(labels, xyxy, num_classes, where)
    x0, y0, x1, y1 = (xyxy / xyxy.new_tensor([width, height, width, height])).unbind(-1)
    boxes = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], -1)
    return labels, boxes


def _check_target(labels: Tensor, xyxy: Tensor, num_classes: int, where: str) -> None:
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise UserError(
            f"{where} has the label {labels[outside][0].item()}, but the model knows the classes "
            f"0 to {num_classes - 1}: check data.num_classes and the annotation file."
        )
    broken = ~torch.isfinite(xyxy).all(1) | (xyxy[:, 2:] <= xyxy[:, :2]).any(1)
    if broken.any():
        raise UserError(
            f"{where} has the box {xyxy[broken][0].tolist()} (x0, y0, x1, y1), "
            "which is not finite or has no area."
        )
