"""Multi-scale deformable attention of other projects.

Each peer has the arguments of `hdetr_d2.ops.ms_deform_attn`. Compiled ones are used if installed,
as their own projects call them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.ms_deform_attn_reference import ms_deform_attn_reference

Shapes = tuple[tuple[int, int], ...]
Attention = Callable[[Tensor, Shapes, Tensor, Tensor], Tensor]

DEFORMABLE_DETR = "Deformable-DETR's kernel"


def grid_sample_form(
    value: Tensor, spatial_shapes: Shapes, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """The usual fallback: one `grid_sample` per level, all samples kept, then their sum."""
    batch, _, heads, channels = value.shape
    queries, levels, points = (sampling_locations.shape[axis] for axis in (1, 3, 4))
    # grid_sample takes one dtype, which is float32 under autocast.
    images = value.to(sampling_locations.dtype).split([h * w for h, w in spatial_shapes], dim=1)
    grids = 2 * sampling_locations - 1
    sampled = []
    for level, (height, width) in enumerate(spatial_shapes):
        image = images[level].flatten(2).transpose(1, 2)
        image = image.reshape(batch * heads, channels, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)  # [B*M, Q, P, 2]
        sampled.append(
            F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        )
    samples = torch.stack(sampled, dim=-2).flatten(-2)  # [B*M, D, Q, L*P]
    weights = attention_weights.transpose(1, 2)
    weights = weights.reshape(batch * heads, 1, queries, levels * points)
    out = (samples * weights).sum(-1).view(batch, heads * channels, queries)
    return out.transpose(1, 2).contiguous().to(value.dtype)


def with_device_levels(kernel: Callable[..., Tensor]) -> Attention:
    """For kernels that take the shapes and starts of the levels as tensors on the device:
    `kernel(value, shapes, starts, sampling_locations, attention_weights)`.
    """

    def attention(
        value: Tensor, spatial_shapes: Shapes, sampling_locations: Tensor, attention_weights: Tensor
    ) -> Tensor:
        levels = _on_device(spatial_shapes, value.device)
        return kernel(value, *levels, sampling_locations, attention_weights)

    return attention


def deformable_detr() -> Attention:
    """The extension built by Deformable-DETR and its descendants. It takes one dtype, float32 or
    float64, so 16-bit values are cast, as its users do.
    """
    import MultiScaleDeformableAttention as kernels

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, *inputs: Tensor) -> Tensor:
            context.save_for_backward(*inputs)
            return kernels.ms_deform_attn_forward(*inputs, _images_at_once(inputs[0]))

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
            inputs = context.saved_tensors
            value, locations, weights = kernels.ms_deform_attn_backward(
                *inputs, gradient.contiguous(), _images_at_once(inputs[0])
            )
            return value, None, None, locations, weights

    def kernel(value: Tensor, *rest: Tensor) -> Tensor:
        *levels, locations, weights = rest
        wide = locations.dtype
        return Function.apply(value.to(wide), *levels, locations, weights.to(wide)).to(value.dtype)

    return with_device_levels(kernel)


def mmcv() -> Attention:
    """It casts locations and weights to the value's dtype."""
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction as Function

    return with_device_levels(
        lambda value, *rest: Function.apply(value, *rest, _images_at_once(value))
    )


def deformops(backend: str) -> Attention:
    """Its weights have the value's dtype."""
    from deformops.registry import Backend, msda

    def kernel(value: Tensor, *rest: Tensor) -> Tensor:
        *others, weights = rest
        return msda(value, *others, weights.to(value.dtype), backend=Backend[backend])

    return with_device_levels(kernel)


# Name -> function that returns the peer, or raises if it is missing.
ANYWHERE: dict[str, Callable[[], Attention]] = {
    "grid_sample": lambda: grid_sample_form,
    "our PyTorch twin": lambda: ms_deform_attn_reference,
}
ON_CUDA: dict[str, Callable[[], Attention]] = {
    DEFORMABLE_DETR: deformable_detr,
    "mmcv": mmcv,
    "deformops, Triton": lambda: deformops("TRITON"),
    "deformops, CUDA": lambda: deformops("CUDA"),
}


def discover(device: str) -> tuple[dict[str, Attention], list[str]]:
    """The installed peers, and a line about each that is missing."""
    found, absent = {}, []
    for name, load in (ANYWHERE | ON_CUDA if device == "cuda" else ANYWHERE).items():
        try:
            found[name] = load()
        except ModuleNotFoundError as error:
            absent.append(f"{name}: not installed ({error})")
        except Exception as error:  # for example, built for another Python or PyTorch
            absent.append(f"{name}: cannot be loaded ({error})")
    return found, absent


@cache
def _on_device(spatial_shapes: Shapes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Shapes `Tensor[L, 2]` and starts `Tensor[L]` of the levels, created before anything is
    timed.
    """
    shapes = torch.tensor(spatial_shapes, device=device)
    areas = shapes.prod(1)
    return shapes, areas.cumsum(0) - areas


def _images_at_once(value: Tensor) -> int:
    """`im2col_step`: must divide the batch, and one step is the fastest."""
    return len(value)
