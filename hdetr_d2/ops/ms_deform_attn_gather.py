"""Multi-scale deformable attention without `grid_sample`, for runtimes that lack it or compute it
wrongly.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor


def ms_deform_attn_gather(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """The same as `ms_deform_attn_reference`, except for NaN locations: four rows are gathered for
    every sample. All arguments have one dtype.
    """
    batch, _, heads, channels = value.shape
    queries = sampling_locations.shape[1]
    rows = value.transpose(1, 2).flatten(0, 1)  # [B*M, S, D]
    sizes = torch.tensor([(w, h) for h, w in spatial_shapes], device=value.device)[:, None]
    areas = sizes.prod(-1)
    starts = (areas.cumsum(0) - areas)[None, None, None]  # [1, 1, 1, L, 1]
    # Beyond -1 and 2 a location is outside of every level.
    place = sampling_locations.clamp(-1, 2) * sizes - 0.5  # [B, Q, M, L, P, 2]
    first = place.floor()
    share = place - first
    out = rows.new_zeros(batch * heads, queries, channels)
    for corner in product((0, 1), (0, 1)):
        step = torch.tensor(corner, device=value.device)
        cell = first.long() + step
        inside = ((cell >= 0) & (cell < sizes)).all(-1)
        x, y = cell.clamp(min=0).minimum(sizes - 1).unbind(-1)
        near = torch.where(step.bool(), share, 1 - share).prod(-1)
        weights = attention_weights * near * inside
        index = starts + y * sizes[..., 0] + x
        index, weights = (t.transpose(1, 2).flatten(0, 1) for t in (index, weights))
        sampled = rows.gather(1, index.flatten(1)[..., None].expand(-1, -1, channels))
        sampled = sampled.unflatten(1, (queries, -1)) * weights.flatten(2)[..., None]
        out = out + sampled.sum(2)
    return out.unflatten(0, (batch, heads)).transpose(1, 2).flatten(2)
