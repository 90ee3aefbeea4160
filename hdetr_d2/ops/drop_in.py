"""`ms_deform_attn` under the names and signatures by which other projects call their own kernel.

docs/OPS.md has the line that makes each of them use it. Where a caller has the level sizes as a
device tensor they are read on the host, which waits for the device: once for every tensor object
(again if the tensor was written to since), so once a forward pass if all layers share the tensor.
Level starts and `im2col_step` are taken because they are given: levels follow each other, and any
batch runs at once.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from hdetr_d2.ops.ms_deform_attn import ms_deform_attn, why_no_kernels
from hdetr_d2.ops.ms_deform_attn_rules import exact_arguments

LevelShapes: TypeAlias = Tensor | Sequence[tuple[int, int]]
"""(H, W) of each level: `Tensor[L, 2]` integer on any device, or numbers on the host."""

# The tensor (by identity, as long as it lives) -> its version when it was read, and what was read.
_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def host_shapes(shapes: LevelShapes) -> list[tuple[int, int]]:
    """The sizes as numbers on the host; a tensor is read once, as the head of this file says."""
    if not isinstance(shapes, Tensor):
        return [(height, width) for height, width in shapes]
    if shapes.is_inference():  # has no version: nobody can tell whether it was written to
        return _read(shapes)
    version, known = _known.get(shapes, (None, []))
    if version != shapes._version:
        known = _read(shapes)
        _known[shapes] = shapes._version, known
    return known


def _read(shapes: Tensor) -> list[tuple[int, int]]:
    return [(height, width) for height, width in shapes.tolist()]


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    value_level_start_index: Tensor | None,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int | None = None,
) -> Tensor:
    """With `ms_deform_attn_backward`, what Deformable-DETR's module `MultiScaleDeformableAttention`
    has: this file can stand in its place where it was never built.
    """
    shapes = host_shapes(value_spatial_shapes)
    return ms_deform_attn(value, shapes, sampling_locations, attention_weights)


class MSDeformAttnFunction:
    """In place of the `torch.autograd.Function` of that name in Deformable-DETR, and of
    `MultiScaleDeformableAttnFunction` in detrex and mmcv.
    """

    apply = staticmethod(ms_deform_attn_forward)


def multi_scale_deformable_attn_pytorch(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """In place of the function of that name, by which detrex and mmcv run on a CPU."""
    shapes = host_shapes(value_spatial_shapes)
    return ms_deform_attn(value, shapes, sampling_locations, attention_weights)


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
    """In place of `MultiScaleDeformableAttention.forward` of Hugging Face transformers, which has
    the sizes on the host.
    """
    return ms_deform_attn(value, value_spatial_shapes_list, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: LevelShapes,
    value_level_start_index: Tensor | None,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    im2col_step: int | None = None,
) -> tuple[Tensor, ...]:
    """Gradients by value, locations and weights, in their dtypes."""
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
