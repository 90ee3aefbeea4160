"""Folds a backbone's constant norms into the preceding convolutions for inference."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hdetr_d2.modeling.backbone.copies import copy_with
from hdetr_d2.modeling.backbone.norm import FrozenBatchNorm2d
from hdetr_d2.ops.autocast import without_autocast


class FoldedConv2d(nn.Conv2d):
    """A convolution that includes the norm after it in evaluation; the norm then does nothing.

    Parameters, their names, and the computation in training or with gradients are unchanged. The
    folded weights are computed when evaluation begins or weights are loaded; code that changes
    weights in another way must call `fold`.
    """

    folded_weight: Tensor
    folded_bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: FrozenBatchNorm2d, dtype: torch.dtype) -> None:
        """dtype: of the folded weights."""
        super().__init__(
            *_geometry(conv), bias=False, padding_mode=conv.padding_mode, device="meta"
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.train(conv.training)
        self.norms = (norm,)  # not registered as a submodule
        self.dtype = dtype
        for name in ("folded_weight", "folded_bias"):
            self.register_buffer(name, None, persistent=False)
        self.fold()
        norm.is_done = self.is_folded
        for module in (self, norm):
            module.register_load_state_dict_post_hook(self._loaded)

    def is_folded(self) -> bool:
        return not self.training and not torch.is_grad_enabled()

    def forward(self, x: Tensor) -> Tensor:
        """`Tensor[B, C_in, H, W]` to `Tensor[B, C_out, H', W']`."""
        if not self.is_folded():
            return super().forward(x)
        weight, bias = (each.to(x.dtype) for each in (self.folded_weight, self.folded_bias))
        return self._conv_forward(x, weight, bias)

    def fold(self) -> None:
        """Computes the folded weights from the current weights and norm."""
        weight, bias = self._product()
        self.folded_weight, self.folded_bias = weight.to(self.dtype), bias.to(self.dtype)

    def for_good(self) -> nn.Conv2d:
        """A plain convolution with the folded weights, in float32, for a network that is no longer
        trained. The norm does nothing from then on.
        """
        conv = nn.Conv2d(*_geometry(self), padding_mode=self.padding_mode, device="meta")
        weights = (nn.Parameter(each, requires_grad=False) for each in self._product())
        conv.weight, conv.bias = weights
        self.norms[0].is_done = _always
        return conv.train(self.training)

    @torch.no_grad()
    def _product(self) -> tuple[Tensor, Tensor]:
        (norm,) = self.norms
        bias = norm.shift if self.bias is None else norm.shift + self.bias * norm.scale
        return self.weight * norm.scale[:, None, None, None], bias

    def train(self, mode: bool = True) -> "FoldedConv2d":
        super().train(mode)
        if not mode and hasattr(self, "norms"):
            self.fold()
        return self

    def _loaded(self, *_: object) -> None:
        self.fold()


def fold_norms(
    backbone: nn.Module, channels: int, dtype: torch.dtype = torch.float32
) -> list[FoldedConv2d]:
    """Folds the constant norms of a backbone into the preceding convolutions.

    A forward pass of a small image shows which norm follows which convolution. Nothing is folded
    where that would change the maps, because a convolution's output is also used elsewhere.

    Args:
        backbone: in evaluation mode, from `Tensor[B, channels, H, W]` to maps by name.
        channels: of the images.
        dtype: of the folded weights: that of the autocast context in which the backbone runs. They
            are rounded to it, whatever the context is later.

    Returns:
        The modules that replace plain convolutions.
    """
    if not any(isinstance(module, FrozenBatchNorm2d) for module in backbone.modules()):
        return []
    noise = torch.randn(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
    image = noise.to(next(backbone.parameters()))
    with torch.no_grad(), without_autocast(image.device):
        trial = copy_with(backbone, lambda tensor: tensor)
        pairs = _pairs(trial, image)
        _fold(trial, pairs, image.dtype)
        expected, maps = backbone(image), trial(image)
    if not all(_equal(maps[name], wanted) for name, wanted in expected.items()):
        return []
    return _fold(backbone, pairs, dtype)


def fold_for_good(net: nn.Module) -> None:
    """Replaces the convolutions created by `fold_norms` with plain ones, see `for_good`."""
    for name, module in list(net.named_modules()):
        if isinstance(module, FoldedConv2d):
            net.set_submodule(name, module.for_good())


def _always() -> bool:
    return True


def _geometry(conv: nn.Conv2d) -> tuple[int, int, Any, Any, Any, Any, int]:
    """The constructor arguments of a convolution, up to its groups."""
    return (
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
    )


def _pairs(net: nn.Module, image: Tensor) -> list[tuple[str, str]]:
    """The names of each plain convolution and of the constant norm that takes its output, if both
    are called once per image.
    """
    outputs: list[tuple[str, Tensor]] = []
    inputs: list[tuple[str, Tensor]] = []
    hooks = []
    for name, module in net.named_modules():
        # A module with a forward of its own may transform its weights, as in weight
        # standardisation.
        if isinstance(module, nn.Conv2d) and type(module).forward is nn.Conv2d.forward:
            hooks.append(
                module.register_forward_hook(
                    lambda *call, name=name: outputs.append((name, call[2]))
                )
            )
        elif isinstance(module, FrozenBatchNorm2d):
            hooks.append(
                module.register_forward_pre_hook(
                    lambda _, given, name=name: inputs.append((name, given[0]))
                )
            )
    net(image)
    for hook in hooks:
        hook.remove()
    calls = [name for name, _ in (*outputs, *inputs)]
    return [
        (conv, norm)
        for norm, taken in inputs
        for conv, output in outputs
        if output is taken and calls.count(conv) == calls.count(norm) == 1
    ]


def _fold(
    net: nn.Module, pairs: Sequence[tuple[str, str]], dtype: torch.dtype
) -> list[FoldedConv2d]:
    new = []
    for conv, norm in pairs:
        old = cast(nn.Conv2d, net.get_submodule(conv))
        new.append(FoldedConv2d(old, cast(FrozenBatchNorm2d, net.get_submodule(norm)), dtype))
        net.set_submodule(conv, new[-1])
    return new


def _equal(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= 1e-3 * wanted.abs().max())
