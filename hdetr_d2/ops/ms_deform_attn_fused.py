"""Multi-scale deformable attention (https://arxiv.org/abs/2010.04159) from the output of a query's
linear layer: offsets and logits.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.extension import is_defined, why_no_kernel
from hdetr_d2.ops.ms_deform_attn import flat_sizes, ms_deform_attn
from hdetr_d2.ops.ms_deform_attn import why_no_kernels as why_not_unfused
from hdetr_d2.ops.ms_deform_attn_fused_reference import sampling_points
from hdetr_d2.ops.ms_deform_attn_fused_rules import register
from hdetr_d2.ops.ms_deform_attn_rules import exact_arguments
from hdetr_d2.ops.portable import is_portable

if is_defined("ms_deform_attn_fused"):
    _RULES = register()


def ms_deform_attn_fused(
    value: Tensor, spatial_shapes: Sequence[tuple[int, int]], reference: Tensor, rows: Tensor
) -> Tensor:
    """`ms_deform_attn` with the softmax of logits as weights, at offsets from a reference.

    The location of a sample is (x, y) + offset / (w, h) for a point (x, y), where (w, h) is the
    level's size, and (x, y) + offset * (w, h) / 2 / P for a box cxcywh. Runs in compiled kernels
    where they are built for the device; otherwise as these operations followed by `ms_deform_attn`.
    Locations, softmax and sums are in float32, or in float64 for float64 values. Under autocast
    `value` is cast to the autocast dtype; the reference never is.

    Args:
        value: `Tensor[B, S, M, D]`, all levels concatenated, M heads of D channels.
        spatial_shapes: (H, W) of each of the L levels, on the host; their areas sum to S.
        reference: `Tensor[B, Q, L, 2]` points or `Tensor[B, Q, L, 4]` boxes cxcywh, with the
            level's image at [0, 1]. Converted to float32, or to float64 for float64 values.
        rows: `Tensor[B, Q, 3 * M * L * P]`: for each query, the offsets [M, L, P, 2], in cells or
            relative to the box, then the logits [M, L * P]. Used in the dtype of `value` if they
            have it, otherwise converted like the reference.

    Returns:
        `Tensor[B, Q, M * D]` in the dtype of `value`.

    Raises:
        ValueError: shapes or devices do not fit each other.
        TypeError: tensors are not floating-point, or level sizes are not integers on the host.
    """
    _check_tensors(value, reference, rows)
    sizes = flat_sizes(spatial_shapes, value.shape[1])
    _check_shapes(value, len(sizes) // 2, reference, rows)
    if not is_portable() and _use_kernels(value.device, value.dtype, len(sizes) // 2):
        reference, rows = exact_arguments(value, reference, rows)
        return torch.ops.hdetr_d2.ms_deform_attn_fused(value, sizes, reference, rows)
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    points = sampling_points(spatial_shapes, reference.to(exact), rows.to(exact), value.shape[2])
    return ms_deform_attn(value, spatial_shapes, *points)


@torch.compiler.assume_constant_result  # checked during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype, levels: int) -> bool:
    return not why_no_kernels(device, dtype, levels)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype, levels: int) -> str:
    """One sentence on why the kernels cannot take these arguments; empty if they can."""
    return why_not_unfused(device, dtype, levels) or why_no_kernel("ms_deform_attn_fused", device)


def _check_tensors(value: Tensor, reference: Tensor, rows: Tensor) -> None:
    check_tensors(value=value, reference=reference, rows=rows)
    for name, tensor in dict(value=value, reference=reference, rows=rows).items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
        if tensor.device != value.device:
            raise ValueError(f"{name} is on {tensor.device}, but value on {value.device}.")
    if value.dim() != 4 or reference.dim() != 4 or rows.dim() != 3:
        raise ValueError(
            "ms_deform_attn_fused takes value [B, S, M, D], reference [B, Q, L, 2 or 4] and rows "
            f"[B, Q, 3 * M * L * P], not {tuple(value.shape)}, {tuple(reference.shape)} and "
            f"{tuple(rows.shape)}."
        )


def _check_shapes(value: Tensor, levels: int, reference: Tensor, rows: Tensor) -> None:
    batch, _, heads, _ = value.shape
    wanted = (batch, rows.shape[1], levels)
    if tuple(reference.shape[:3]) != wanted or reference.shape[3] not in (2, 4):
        raise ValueError(
            f"For value {tuple(value.shape)}, {levels} levels and rows {tuple(rows.shape)}, "
            f"reference must be {(*wanted, 2)} or {(*wanted, 4)}, not {tuple(reference.shape)}."
        )
    if rows.shape[0] != batch or rows.shape[2] % max(3 * heads * levels, 1):
        raise ValueError(
            f"For value {tuple(value.shape)} and {levels} levels, rows must be ({batch}, Q, n), "
            f"n a multiple of {3 * heads * levels}, not {tuple(rows.shape)}."
        )
