"""Multi-scale deformable attention (https://arxiv.org/abs/2010.04159, equation 3)."""

import functools
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel
from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference
from hdetr_d2.ops.ms_deform_attn_rules import autocast_value, exact_arguments, register
from hdetr_d2.ops.portable import portable_attention

_KERNEL_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
# The level sizes are a parameter of the CUDA kernel, with room for this many.
_MOST_LEVELS_ON_CUDA = 64

if is_defined("ms_deform_attn"):
    _RULES = register()


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Weighted sum of values sampled bilinearly at a few locations on every level.

    Runs in compiled kernels where they are built for the device; otherwise, after one warning, in
    PyTorch's own operations (`ms_deform_attn_reference`). Sums are in float32, or in float64 for
    float64 values. Under autocast `value` is cast to the autocast dtype; the locations never are.

    Args:
        value: `Tensor[B, S, M, D]`, all levels concatenated, M heads of D channels.
        spatial_shapes: (H, W) of each of the L levels, on the host; their areas sum to S.
        sampling_locations: `Tensor[B, Q, M, L, P, 2]`, (x, y) with the level's image at [0, 1].
            Locations outside sample zeros; NaN or infinite ones make the output NaN. Converted to
            float32, or to float64 for float64 values.
        attention_weights: `Tensor[B, Q, M, L, P]`. Used in the dtype of `value` if they have it,
            otherwise converted like the locations.

    Returns:
        `Tensor[B, Q, M * D]` in the dtype of `value`.

    Raises:
        ValueError: shapes or devices do not fit each other.
        TypeError: tensors are not floating-point, or level sizes are not integers on the host.
    """
    _check_tensors(value, sampling_locations, attention_weights)
    sizes = flat_sizes(spatial_shapes, value.shape[1])
    _check_shapes(value, len(sizes) // 2, sampling_locations, attention_weights)
    if (form := portable_attention()) is not None:
        return form(value, spatial_shapes, sampling_locations, attention_weights)
    if _use_kernels(value.device, value.dtype, len(sizes) // 2):
        locations, weights = exact_arguments(value, sampling_locations, attention_weights)
        return torch.ops.hdetr_d2.ms_deform_attn(value, sizes, locations, weights)
    value = autocast_value(value)
    locations, weights = exact_arguments(value, sampling_locations, attention_weights)
    return ms_deform_attn_reference(value, spatial_shapes, locations, weights)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype, levels: int) -> bool:
    how, reason = "in PyTorch's own operations, much slower", why_no_kernels(device, dtype, levels)
    return not warn_of_fallback("ms_deform_attn", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype, levels: int) -> str:
    """One sentence on why the kernels cannot take these arguments; empty if they can."""
    if dtype not in _KERNEL_DTYPES:
        return f"The kernels do not take values of {dtype}."
    if device.type == "cuda" and levels > _MOST_LEVELS_ON_CUDA:
        return f"The CUDA kernels take {_MOST_LEVELS_ON_CUDA} levels at most, not {levels}."
    return why_no_kernel("ms_deform_attn", device)


def _check_tensors(value: Tensor, sampling_locations: Tensor, attention_weights: Tensor) -> None:
    named = dict(
        value=value, sampling_locations=sampling_locations, attention_weights=attention_weights
    )
    check_tensors(**named)
    for name, tensor in named.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
        if tensor.device != value.device:
            raise ValueError(f"{name} is on {tensor.device}, but value on {value.device}.")
    if value.dim() != 4 or sampling_locations.dim() != 6 or attention_weights.dim() != 5:
        raise ValueError(
            "ms_deform_attn takes value [B, S, M, D], sampling_locations [B, Q, M, L, P, 2] and "
            f"attention_weights [B, Q, M, L, P], not {tuple(value.shape)}, "
            f"{tuple(sampling_locations.shape)} and {tuple(attention_weights.shape)}."
        )


def flat_sizes(spatial_shapes: Sequence[tuple[int, int]], tokens: int) -> list[int]:
    """h0, w0, h1, w1, ..., as in the operator's schema."""
    if isinstance(spatial_shapes, Tensor):
        raise TypeError(
            "spatial_shapes must be (H, W) of each level as integers on the host, not a tensor: "
            "hdetr_d2.ops.drop_in takes one."
        )
    check_levels(spatial_shapes)
    # In a trace every size is a tensor; the graph is specific to this one
    if torch.jit.is_tracing():
        spatial_shapes = [(int(height), int(width)) for height, width in spatial_shapes]
    sizes = [size for shape in spatial_shapes for size in shape]
    # A comparison would specialise a graph to the sizes it is traced with; there, the kernel
    # compares.
    if not torch.compiler.is_compiling():
        _check_sizes(spatial_shapes, sizes, tokens)
    return sizes


def check_levels(spatial_shapes: Sequence[tuple[int, int]]) -> None:
    """Raises TypeError if the sizes are no pairs; nothing while a graph is traced."""
    if torch.compiler.is_compiling():
        return
    given: Any = spatial_shapes
    if not isinstance(given, Iterable) or not all(isinstance(each, Iterable) for each in given):
        raise TypeError(f"spatial_shapes must be (H, W) of each level, not {given}.")


def _check_sizes(
    spatial_shapes: Sequence[tuple[int, int]], sizes: Sequence[int], tokens: int
) -> None:
    if any(isinstance(size, torch.SymInt) for size in sizes):
        return
    levels = [tuple(shape) for shape in spatial_shapes]
    if not all(isinstance(size, Integral) for size in sizes):
        raise TypeError(f"spatial_shapes must hold integers, not {levels}.")
    if not levels or any(len(level) != 2 for level in levels) or min(sizes) < 1:
        raise ValueError(
            f"spatial_shapes must be (H, W), at least (1, 1), of one level or more, not {levels}."
        )
    area = sum(height * width for height, width in levels)
    if area != tokens:
        raise ValueError(f"The levels {levels} have {area} cells together, but value has {tokens}.")


def _check_shapes(
    value: Tensor, levels: int, sampling_locations: Tensor, attention_weights: Tensor
) -> None:
    batch, _, heads, _ = value.shape
    wanted = (batch, sampling_locations.shape[1], heads, levels, sampling_locations.shape[4])
    if tuple(sampling_locations.shape) != (*wanted, 2) or tuple(attention_weights.shape) != wanted:
        raise ValueError(
            f"For value {tuple(value.shape)} and {levels} levels, sampling_locations must be "
            f"{(*wanted, 2)} and attention_weights {wanted}, not "
            f"{tuple(sampling_locations.shape)} and {tuple(attention_weights.shape)}."
        )
