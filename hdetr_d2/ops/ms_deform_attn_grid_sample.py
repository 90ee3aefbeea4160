"""Multi-scale deformable attention with GridSample, for the runtimes of exported files."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.ms_deform_attn_reference import sampling_grids


def ms_deform_attn_grid_sample(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """The same as `ms_deform_attn`, unchecked, for arguments of one dtype with finite locations.

    One point at a time: a runtime then accumulates in place, without a tensor of all samples and a
    separate reduction, which took half of the time in OpenVINO. In training this would clear a
    level's gradient for every point; use `ms_deform_attn_reference` there.
    """
    batch, _, heads, channels = value.shape
    rows = value.flatten(2).transpose(1, 2).unflatten(1, (heads, channels)).flatten(0, 1)
    grids = sampling_grids(sampling_locations).permute(3, 4, 0, 2, 1, 5).flatten(2, 3)
    grids = grids[..., None, :, :]  # [L, P, B*M, 1, Q, 2]
    weights = attention_weights.permute(3, 4, 0, 2, 1).flatten(2, 3)[..., None, None, :]
    parts = rows.split([h * w for h, w in spatial_shapes], dim=-1)
    samples = [
        F.grid_sample(part.unflatten(-1, shape), grids[level, point], align_corners=False)
        * weights[level, point]
        for level, (part, shape) in enumerate(zip(parts, spatial_shapes, strict=True))
        for point in range(grids.shape[1])
    ]
    out = sum(samples[1:], samples[0])  # [B*M, D, 1, Q]
    return out.unflatten(0, (batch, heads)).flatten(1, 3).transpose(1, 2)
