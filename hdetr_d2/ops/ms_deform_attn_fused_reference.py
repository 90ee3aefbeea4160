"""Fused multi-scale deformable attention in PyTorch's own operations: the kernels' reference.
Exported graphs use its first part, and tests compare the kernels with it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference
from hdetr_d2.utils.device import to_device

Shapes = Sequence[tuple[int, int]]


def ms_deform_attn_fused_reference(
    value: Tensor, spatial_shapes: Shapes, reference: Tensor, rows: Tensor
) -> Tensor:
    """The same as `ms_deform_attn_fused`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype.
    """
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    points = sampling_points(spatial_shapes, reference.to(exact), rows.to(exact), value.shape[2])
    return ms_deform_attn_reference(value, spatial_shapes, *points)


def sampling_points(
    spatial_shapes: Shapes, reference: Tensor, rows: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """The sampling locations, `Tensor[B, Q, M, L, P, 2]` in [0, 1] of the padded level, and the
    attention weights, `Tensor[B, Q, M, L, P]`; arguments as for `ms_deform_attn_fused`, of one
    dtype.
    """
    offsets, logits = split_rows(rows, heads)
    levels = len(spatial_shapes)
    points = logits.shape[-1] // levels
    samples = (*logits.shape[:3], levels, points)
    unit = offset_unit(spatial_shapes, reference, points)
    centre = for_points(reference[..., :2], points)
    locations = torch.addcmul(centre, offsets, for_points(unit, points))
    return locations.view(*samples, 2), F.softmax(logits, -1).view(samples)


def split_rows(rows: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Offsets `Tensor[B, Q, M, L * P * 2]` and logits `Tensor[B, Q, M, L * P]`."""
    samples = rows.shape[-1] // 3
    offsets, logits = rows.split([2 * samples, samples], -1)
    of_head = samples // max(heads, 1)
    return offsets.unflatten(-1, (heads, 2 * of_head)), logits.unflatten(-1, (heads, of_head))


def offset_unit(spatial_shapes: Shapes, reference: Tensor, points: int) -> Tensor:
    """The unit of an offset, `Tensor[L, 2]` or `Tensor[B, Q, L, 2]`: a cell of the level, or half
    of the box divided by the number of points.
    """
    if reference.shape[-1] == 2:
        return to_device([(w, h) for h, w in spatial_shapes], reference).reciprocal()
    return reference[..., 2:] * (0.5 / points)


def for_points(per_level: Tensor, points: int) -> Tensor:
    """Repeats `Tensor[..., L, 2]` for the points of a head: `Tensor[..., 1, L * P * 2]`.

    As one row of all points: broadcasting over pairs (x, y) would take ten times as long on a CPU.
    """
    each = per_level[..., :, None, :].expand(*per_level.shape[:-1], points, 2)
    return each.flatten(-3).unsqueeze(-2)
