"""Functions on boxes. Boxes are cxcywh in [0, 1] unless the name says xyxy."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_boxes


def box_cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """`Tensor[..., 4]` (cx, cy, w, h) to (x0, y0, x1, y1)."""
    check_boxes(boxes=boxes)
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU of boxes that broadcast against each other.

    Args:
        boxes1: `Tensor[..., 4]` xyxy.
        boxes2: `Tensor[..., 4]` xyxy.

    Returns:
        `Tensor[...]` in [0, 1]; 0 if both boxes have no area. float32 for boxes in 16 bits, which
        do not hold their areas.

    Raises:
        TypeError: boxes are not floating-point.
        ValueError: boxes do not have four coordinates.
    """
    boxes1, boxes2 = _exact(boxes1, boxes2)
    inside, union = _overlap_and_union(boxes1.unbind(-1), boxes2.unbind(-1))
    return inside / _divisor(union)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Generalised IoU (https://arxiv.org/abs/1902.09630) of boxes that broadcast against each
    other.

    Args:
        boxes1: `Tensor[..., 4]` xyxy.
        boxes2: `Tensor[..., 4]` xyxy.

    Returns:
        `Tensor[...]` in [-1, 1]; finite, with finite gradients, if both boxes have no area. float32
        for boxes in 16 bits.

    Raises:
        TypeError, ValueError: see `box_iou`.
    """
    boxes1, boxes2 = _exact(boxes1, boxes2)
    x0, y0, x1, y1 = one = boxes1.unbind(-1)
    u0, v0, u1, v1 = other = boxes2.unbind(-1)
    inside, union = _overlap_and_union(one, other)
    hull = torch.maximum(x1, u1) - torch.minimum(x0, u0)
    hull = hull * (torch.maximum(y1, v1) - torch.minimum(y0, v0))
    return inside / _divisor(union) - (hull - union) / _divisor(hull)


def pairwise_generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`Tensor[..., N, 4]` and `Tensor[..., M, 4]` xyxy to `Tensor[..., N, M]`."""
    check_boxes(boxes1=boxes1, boxes2=boxes2)
    return generalized_box_iou(boxes1[..., :, None, :], boxes2[..., None, :, :])


def _exact(boxes1: Tensor, boxes2: Tensor) -> list[Tensor]:
    """Both with at least 32 bits: in float16 an area above 65504 is infinite."""
    check_boxes(boxes1=boxes1, boxes2=boxes2)
    for name, boxes in dict(boxes1=boxes1, boxes2=boxes2).items():
        if not boxes.is_floating_point():
            raise TypeError(f"{name} must be floating, not {boxes.dtype}.")
    return [each.float() if each.dtype.itemsize < 4 else each for each in (boxes1, boxes2)]


def _overlap_and_union(one: Sequence[Tensor], other: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Areas of overlap and union of boxes (x0, y0, x1, y1). Computed per coordinate, so that the
    pairwise form never creates a tensor [..., Q, 4].
    """
    (x0, y0, x1, y1), (u0, v0, u1, v1) = one, other
    inside = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp(min=0)
    inside = inside * (torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp(min=0)
    return inside, (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - inside


def _divisor(area: Tensor) -> Tensor:
    """`area`, or 1 where it is too small: boxes with an area count in full, however small they are,
    and boxes without have finite gradients. The reciprocal of a smaller area would overflow.
    """
    return torch.where(area < torch.finfo(area.dtype).tiny, 1.0, area)
