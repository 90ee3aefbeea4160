"""Multi-scale deformable attention in PyTorch's own operations: the kernels' reference. Used where
there are no kernels, and by tests of the kernels.
"""

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
    """The same as `ms_deform_attn`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype; sums are in float32, or in float64 for
    float64 values.
    """
    batch, _, heads, channels = value.shape
    # In 16 bits a location would often fall into another cell.
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    if value.numel() == 0 or sampling_locations.numel() == 0:
        # Zeros that still connect all three arguments to the graph.
        tensors = (value, sampling_locations, attention_weights)
        nothing = torch.cat([tensor.flatten()[:0].to(exact) for tensor in tensors]).sum()
        return nothing.repeat(batch, sampling_locations.shape[1], heads * channels).to(value.dtype)
    locations = sampling_locations.to(exact)
    weights = _nan_where_lost(attention_weights.to(exact), locations)
    return _weighted_samples(
        value, spatial_shapes, locations.nan_to_num(posinf=0.0, neginf=0.0), weights
    )


def _weighted_samples(
    value: Tensor, spatial_shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """One level at a time, so that only its samples are held in memory. Locations are finite."""
    batch, _, heads, channels = value.shape
    rows = value.permute(0, 2, 3, 1).flatten(0, 1).to(weights.dtype)  # [B*M, D, S]
    grids = sampling_grids(locations).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)  # [B*M, L, Q, P, 2]
    weights = weights.permute(0, 2, 3, 1, 4).flatten(0, 1)[:, None]  # [B*M, 1, L, Q, P]
    levels = []
    for level, part in enumerate(rows.split([h * w for h, w in spatial_shapes], dim=-1)):
        image = part.unflatten(-1, tuple(spatial_shapes[level]))
        sampled = F.grid_sample(image, grids[:, level], align_corners=False)  # [B*M, D, Q, P]
        levels.append((sampled * weights[:, :, level]).sum(-1))
    out = sum(levels[1:], levels[0]).unflatten(0, (batch, heads))  # [B, M, D, Q]
    return out.flatten(1, 2).transpose(1, 2).contiguous().to(value.dtype)


def sampling_grids(locations: Tensor) -> Tensor:
    """Maps [0, 1] to the [-1, 1] of `grid_sample`. Beyond -1 and 2 a location is outside of every
    level; much further out, doubling it would overflow.
    """
    return 2 * locations.clamp(-1, 2) - 1


def _nan_where_lost(weights: Tensor, locations: Tensor) -> Tensor:
    """NaN weights where a location is NaN or infinite, so that a diverged run shows: not every
    `grid_sample` propagates NaN.
    """
    lost = ~locations.isfinite().all(-1)
    return weights * torch.ones_like(weights).masked_fill(lost, torch.nan)
