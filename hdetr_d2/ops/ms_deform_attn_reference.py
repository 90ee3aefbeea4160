"""Multi-scale deformable attention in PyTorch's own operations: the kernels' twin. It answers where
there are no kernels, and tests compare the kernels with it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def ms_deform_attn_reference(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """The same as `ms_deform_attn` with the same arguments, which are not checked here.

    It runs on every device and with every floating dtype; sums are in float32, or in float64 for
    float64 values.
    """
    batch, _, heads, channels = value.shape
    queries = sampling_locations.shape[1]
    # In 16 bits a location would often land in another cell.
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    if value.numel() == 0 or sampling_locations.numel() == 0:
        # Zeros, of which all three arguments still have a gradient.
        tensors = (value, sampling_locations, attention_weights)
        nothing = torch.cat([tensor.flatten()[:0].to(exact) for tensor in tensors]).sum()
        return nothing.repeat(batch, queries, heads * channels).to(value.dtype)
    locations = sampling_locations.to(exact)
    grids = _grids(locations)
    sampled = []
    for level, part in enumerate(value.split([h * w for h, w in spatial_shapes], dim=1)):
        height, width = spatial_shapes[level]
        image = part.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)  # [B*M, Q, P, 2]
        sampled.append(F.grid_sample(image.to(exact), grid, align_corners=False))
    weights = _nan_where_lost(attention_weights.to(exact), locations)
    weights = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    points = torch.cat(sampled, dim=-1)  # [B*M, D, Q, L*P]
    out = (points * weights).sum(-1)  # [B*M, D, Q]
    out = out.view(batch, heads * channels, queries).transpose(1, 2)
    return out.contiguous().to(value.dtype)


def _grids(locations: Tensor) -> Tensor:
    """[0, 1] to the [-1, 1] of `grid_sample`. From -1 and 2 on a location is outside of every
    level, and further out its double would leave the floating range.
    """
    return 2 * locations.nan_to_num(posinf=0.0, neginf=0.0).clamp(-1, 2) - 1


def _nan_where_lost(weights: Tensor, locations: Tensor) -> Tensor:
    """NaN weights where a location is NaN or infinite, so that a diverged run shows: not every
    `grid_sample` lets it through.
    """
    lost = ~locations.isfinite().all(-1)
    return weights * torch.ones_like(weights).masked_fill(lost, torch.nan)
