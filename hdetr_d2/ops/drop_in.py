"""`ms_deform_attn` under the names and signatures with which other projects call their own kernel.

docs/OPS.md shows the line that switches each project to it. If a caller has the level sizes as a
tensor, they are read on the host. That is free for a host tensor. For a device tensor it means
waiting for the device, once per tensor object and again when PyTorch knows it was written to: once
per forward pass if all layers share the tensor. `im2col_step` is accepted and ignored: any batch
runs at once.
"""

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from hdetr_d2.ops.ms_deform_attn import check_levels, ms_deform_attn, why_no_kernels
from hdetr_d2.ops.ms_deform_attn_rules import exact_arguments

LevelShapes: TypeAlias = Tensor | Sequence[tuple[int, int]]
"""(H, W) of each level: `Tensor[L, 2]` integer on any device, or numbers on the host."""

# Maps a tensor (by identity, while it lives) to the state of its memory when it was read, and the
# values read.
_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def host_shapes(shapes: LevelShapes) -> list[tuple[int, int]]:
    """The sizes as numbers on the host."""
    sizes = _on_host(shapes) if isinstance(shapes, Tensor) else shapes
    check_levels(sizes)
    return [(height, width) for height, width in sizes]


def _checked_shapes(shapes: LevelShapes, starts: Tensor | None) -> list[tuple[int, int]]:
    """The same, with a check.

    Raises:
        ValueError: levels are not contiguous and in order.
    """
    sizes = host_shapes(shapes)
    if starts is None or not (isinstance(shapes, Tensor) or _is_on_host(starts)):
        return sizes  # callers with sizes on the host do not want to wait
    *wanted, _ = itertools.accumulate((height * width for height, width in sizes), initial=0)
    if _on_host(starts) != wanted:
        raise ValueError(
            f"level_start_index is {_on_host(starts)}, but here levels follow each other in the "
            f"order of their sizes: {wanted}."
        )
    return sizes


def _on_host(tensor: Tensor) -> list:
    """The tensor's values, read as described at the top of this file."""
    # An inference tensor has no version counter, so that writes cannot be detected.
    if _is_on_host(tensor) or tensor.is_inference():
        return _read(tensor)
    state = tensor._version, tensor.data_ptr()
    before, known = _known.get(tensor, (None, []))
    if before != state:
        known = _read(tensor)
        _known[tensor] = state, known
    return known


def _is_on_host(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _read(tensor: Tensor) -> list:
    return tensor.tolist()


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    value_level_start_index: Tensor | None,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int | None = None,
) -> Tensor:
    """Together with `ms_deform_attn_backward`, the functions of Deformable-DETR's extension module
    `MultiScaleDeformableAttention`: this module can replace it where it was never built.

    Raises:
        ValueError: levels are not contiguous and in order.
    """
    shapes = _checked_shapes(value_spatial_shapes, value_level_start_index)
    return ms_deform_attn(value, shapes, sampling_locations, attention_weights)


class MSDeformAttnFunction:
    """Replaces the `torch.autograd.Function` of that name in Deformable-DETR, and
    `MultiScaleDeformableAttnFunction` in detrex and mmcv.
    """

    apply = staticmethod(ms_deform_attn_forward)


def multi_scale_deformable_attn_pytorch(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Replaces the function of that name, which detrex and mmcv use on a CPU."""
    shapes = host_shapes(value_spatial_shapes)
    return ms_deform_attn(value, shapes, sampling_locations, attention_weights)


def multi_scale_deformable_attention_v2(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    num_points_list: Sequence[int],
    method: str = "default",
) -> Tensor:
    """Replaces the function of that name in RT-DETRv2, D-FINE and DEIMv2 of transformers, and
    `deformable_attention_core_func_v2` in RT-DETRv2: levels may have different numbers of samples.

    Args:
        sampling_locations: `Tensor[B, Q, heads, S, 2]`, where S is the sum of `num_points_list`.
        attention_weights: `Tensor[B, Q, heads, S]`.
        num_points_list: number of samples on each level.

    Raises:
        ValueError: a method other than "default", the bilinear one; or the numbers of samples do
            not add up to S.
    """
    if method != "default":
        raise ValueError(f"method={method!r}: ms_deform_attn is bilinear, which is 'default'.")
    if sum(num_points_list) != sampling_locations.shape[3]:
        raise ValueError(
            f"num_points_list {[*num_points_list]} has {sum(num_points_list)} samples, but "
            f"sampling_locations have {sampling_locations.shape[3]}."
        )
    most = max(num_points_list)
    # Missing samples of a level get zero weight.
    locations, weights = (
        torch.stack(
            [
                F.pad(part, [0] * (2 * beyond) + [0, most - part.shape[3]])
                for part in flat.split([*num_points_list], dim=3)
            ],
            dim=3,
        )
        for flat, beyond in ((sampling_locations, 1), (attention_weights, 0))
    )
    return ms_deform_attn(value, host_shapes(value_spatial_shapes), locations, weights)


def transformers_forward(
    self: Any,
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_spatial_shapes_list: Sequence[tuple[int, int]],
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Replaces `MultiScaleDeformableAttention.forward` of Hugging Face transformers, which has the
    sizes on the host.
    """
    shapes = _checked_shapes(value_spatial_shapes_list, level_start_index)
    return ms_deform_attn(value, shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    value_level_start_index: Tensor | None,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    im2col_step: int | None = None,
) -> tuple[Tensor, ...]:
    """Gradients with respect to value, locations and weights, in their dtypes."""
    shapes = host_shapes(value_spatial_shapes)
    given = (value, sampling_locations, attention_weights)
    if why_no_kernels(value.device, value.dtype, len(shapes)):
        return _backward_by_autograd(given, shapes, grad_output)
    locations, weights = exact_arguments(*given)
    sizes = [size for shape in shapes for size in shape]
    gradients = torch.ops.hdetr_d2.ms_deform_attn_backward(
        grad_output.to(value.dtype),
        value,
        sizes,
        locations,
        weights,
        torch.are_deterministic_algorithms_enabled(),
    )
    return tuple(
        gradient.to(tensor.dtype) for gradient, tensor in zip(gradients, given, strict=True)
    )


def _backward_by_autograd(
    given: Sequence[Tensor], shapes: list[tuple[int, int]], grad_output: Tensor
) -> tuple[Tensor, ...]:
    value, locations, weights = (tensor.detach().requires_grad_() for tensor in given)
    with torch.enable_grad():
        output = ms_deform_attn(value, shapes, locations, weights)
    return torch.autograd.grad(output, (value, locations, weights), grad_output)
