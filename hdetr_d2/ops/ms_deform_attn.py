"""Multi-scale deformable attention (https://arxiv.org/abs/2010.04159, equation 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Weighted sum of values that are sampled bilinearly at a few points of every level.

    Args:
        value: `Tensor[B, S, M, D]`, the levels one after the other, M heads of D channels.
        spatial_shapes: (H, W) of each of the L levels, on the host; their areas sum to S.
        sampling_locations: `Tensor[B, Q, M, L, P, 2]`, (x, y) with the level's image at [0, 1];
            what lies outside samples zeros.
        attention_weights: `Tensor[B, Q, M, L, P]`.

    Returns:
        `Tensor[B, Q, M * D]` in the dtype of `value`.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    _check(value, spatial_shapes, sampling_locations, attention_weights)
    batch, _, heads, channels = value.shape
    queries = sampling_locations.shape[1]
    if batch * queries == 0:
        return value.new_zeros(batch, queries, heads * channels)
    grids = 2 * sampling_locations - 1
    sampled = []
    for level, part in enumerate(value.split([h * w for h, w in spatial_shapes], dim=1)):
        height, width = spatial_shapes[level]
        image = part.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)  # [B*M, Q, P, 2]
        # Locations keep their precision: in 16 bits a sample would often land in another cell.
        common = torch.promote_types(image.dtype, grid.dtype)
        sampled.append(F.grid_sample(image.to(common), grid.to(common), align_corners=False))
    weights = attention_weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    points = torch.cat(sampled, dim=-1)  # [B*M, D, Q, L*P]
    out = (points * weights).sum(-1)  # [B*M, D, Q]
    return out.view(batch, heads * channels, queries).transpose(1, 2).to(value.dtype)


def _check(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> None:
    if value.dim() != 4 or sampling_locations.dim() != 6 or attention_weights.dim() != 5:
        raise ValueError(
            "ms_deform_attn takes value [B, S, M, D], sampling_locations [B, Q, M, L, P, 2] and "
            f"attention_weights [B, Q, M, L, P], not {tuple(value.shape)}, "
            f"{tuple(sampling_locations.shape)} and {tuple(attention_weights.shape)}."
        )
    batch, tokens, heads, _ = value.shape
    area = sum(h * w for h, w in spatial_shapes)
    if area != tokens:
        raise ValueError(
            f"The levels {list(spatial_shapes)} have {area} cells together, but value has {tokens}."
        )
    wanted = (
        batch,
        sampling_locations.shape[1],
        heads,
        len(spatial_shapes),
        sampling_locations.shape[4],
    )
    if tuple(sampling_locations.shape) != (*wanted, 2) or tuple(attention_weights.shape) != wanted:
        raise ValueError(
            f"For value {tuple(value.shape)} and {len(spatial_shapes)} levels, sampling_locations "
            f"must be {(*wanted, 2)} and attention_weights {wanted}, not "
            f"{tuple(sampling_locations.shape)} and {tuple(attention_weights.shape)}."
        )
