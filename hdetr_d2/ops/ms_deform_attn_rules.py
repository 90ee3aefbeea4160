"""What PyTorch must know of the compiled op: shapes without data, the derivative, and autocast."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import no_second_derivative

_OP = "hdetr_d2::ms_deform_attn"
_BACKWARD = "hdetr_d2::ms_deform_attn_backward"


def exact_arguments(value: Tensor, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Locations and weights in the dtypes that go with `value`: float32 (float64 for float64), and
    weights that have the dtype of `value` keep it.
    """
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    if weights.dtype != value.dtype:
        weights = weights.to(exact)
    return locations.to(exact), weights


def autocast_value(value: Tensor) -> Tensor:
    """`value` in the dtype that autocast, if it is on, wants; as in PyTorch, float64 stays."""
    device = value.device.type
    if value.dtype == torch.float64 or not torch.amp.is_autocast_available(device):
        return value
    if not torch.is_autocast_enabled(device):
        return value
    return value.to(torch.get_autocast_dtype(device))


def _autocast(value: Tensor, sizes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    """Not `register_autocast`: it casts every argument, and a location of 16 bits is often in
    another cell.
    """
    value = autocast_value(value)
    locations, weights = exact_arguments(value, locations, weights)
    with torch.autocast(value.device.type, enabled=False):
        return torch.ops.hdetr_d2.ms_deform_attn(value, sizes, locations, weights)


def _fake(value: Tensor, sizes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    return value.new_empty(batch, locations.shape[1], heads * channels)


def _fake_backward(
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    locations: Tensor,
    weights: Tensor,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    value, locations, weights = (t.new_empty(t.shape) for t in (value, locations, weights))
    return value, locations, weights


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    value, ctx.sizes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    value, locations, weights = ctx.saved_tensors
    deterministic = torch.are_deterministic_algorithms_enabled()
    by_value, by_locations, by_weights = torch.ops.hdetr_d2.ms_deform_attn_backward(
        grad_output, value, ctx.sizes, locations, weights, deterministic
    )
    return by_value, None, by_locations, by_weights


def register() -> torch.library.Library:
    """Tells PyTorch; the rules hold as long as the answer is kept."""
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    torch.library.register_autograd(_OP, _backward, setup_context=_save, lib=library)
    torch.library.register_autograd(_BACKWARD, no_second_derivative("ms_deform_attn"), lib=library)
    for key in ("AutocastCPU", "AutocastCUDA"):
        library.impl("ms_deform_attn", _autocast, key)
    return library
