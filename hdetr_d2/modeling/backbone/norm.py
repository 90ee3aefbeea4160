"""Replacements of a backbone's BatchNorm."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hdetr_d2.ops import affine_relu

# The upper bound of each type of ReLU.
_CEILINGS: dict[type[nn.Module], float | None] = {nn.ReLU: None, nn.ReLU6: 6.0}


class FrozenBatchNorm2d(nn.Module):
    """A BatchNorm with constant statistics and weights, under the same names in a state dict.

    Includes the activation that some of timm's BatchNorm layers carry. The constants are combined
    into one scale and one shift when they are loaded; code that changes them in another way must
    call `fold`.

    Attributes:
        act: the activation after the norm; a ReLU is fused, see `hdetr_d2.ops.affine_relu`.
        is_done: whether the preceding convolution includes everything but the activation; see
            `FoldedConv2d`.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("A BatchNorm without running statistics cannot be frozen.")
        mean = norm.running_mean
        values = {
            "weight": norm.weight if norm.affine else torch.ones_like(mean),
            "bias": norm.bias if norm.affine else torch.zeros_like(mean),
            "running_mean": mean,
            "running_var": norm.running_var,
        }
        for name, value in values.items():
            self.register_buffer(name, value.detach().clone())
        for name in ("scale", "shift"):
            self.register_buffer(name, None, persistent=False)
        self.eps = norm.eps
        self.fold()
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())
        self.is_done: Callable[[], bool] = _never

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """`Tensor[B, C, H, W]` to `Tensor[B, C, H, W]`, in the dtype of `x`; a shortcut of the same
        shape is added before the activation.
        """
        if self.is_done():
            return self._finish(x, shortcut)
        if type(self.act) in _CEILINGS and isinstance(self.drop, nn.Identity):
            return affine_relu(x, self.scale, self.shift, shortcut, _CEILINGS[type(self.act)])
        # Statistics are float32: without the cast, 16-bit activations would be promoted to 32 bits
        # here.
        constants = (each.to(x.dtype)[:, None, None] for each in (self.scale, self.shift))
        return self._finish(_ScaleAndShift.apply(x, *constants), shortcut)

    def _finish(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        x = self.drop(x)
        return self.act(x if shortcut is None else x + shortcut)

    def fold(self) -> None:
        """Computes scale and shift from the current weights and statistics."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        self.scale, self.shift = scale, self.bias - self.running_mean * scale

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: object) -> None:
        # A trained BatchNorm counts its batches; a frozen one does not need the counter.
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.fold()

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}"


def _never() -> bool:
    return False


class _ScaleAndShift(torch.autograd.Function):
    """`x * scale + shift` with constants, as one operation forward and one backward, storing
    nothing of the size of x.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return torch.addcmul(shift, x, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = ctx.saved_tensors
        return gradient * scale, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        (scale,) = ctx.saved_tensors
        return tangent * scale


def group_norm(norm: nn.BatchNorm2d) -> nn.Module:
    """A GroupNorm with up to 32 groups, initialised with the weights of `norm` (zeros stay
    zeros).
    """
    new = nn.GroupNorm(math.gcd(32, norm.num_features), norm.num_features)
    if norm.affine:
        new.load_state_dict({"weight": norm.weight.detach(), "bias": norm.bias.detach()})
    carried = [child for _, child in norm.named_children()]  # an activation, in some timm models
    return nn.Sequential(new, *carried) if carried else new


def batch_norms(root: nn.Module) -> set[nn.BatchNorm2d]:
    """Every BatchNorm below `root`."""
    return {module for module in root.modules() if isinstance(module, nn.BatchNorm2d)}


def replace(
    root: nn.Module, old: set[nn.BatchNorm2d], new: Callable[[nn.BatchNorm2d], nn.Module]
) -> None:
    """Replaces every module in `old` below `root` by `new(module)`."""
    for name, child in root.named_children():
        if isinstance(child, nn.BatchNorm2d) and child in old:
            setattr(root, name, new(child))
        else:
            replace(child, old, new)
