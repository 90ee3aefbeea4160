"""Low-rank adapters (LoRA, https://arxiv.org/abs/2106.09685): the update of a frozen weight is the
product of two thin matrices.

There is no factor alpha: with Adam, the learning rate has the same effect.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hdetr_d2.layers import Linear

UP, DOWN = "low_rank_up", "low_rank_down"


class LowRankLinear(Linear):
    """A linear layer whose weight `Tensor[D, C]` is a frozen one plus `low_rank_up`,
    `Tensor[D, r]`, times `low_rank_down`, `Tensor[r, C]`. The former starts at zero, so that
    nothing changes before the first step.
    """

    low_rank_up: nn.Parameter
    low_rank_down: nn.Parameter

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        stored = cast(nn.Parameter, self._parameters["weight"])
        return stored + self.low_rank_up @ self.low_rank_down

    @staticmethod
    def of(layer: Linear, rank: int) -> None:
        """Converts `layer`, keeping its weight and the weight's name."""
        layer.weight.requires_grad_(False)
        layer.low_rank_up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        down = layer.weight.new_empty(rank, layer.in_features)
        layer.low_rank_down = nn.Parameter(nn.init.kaiming_uniform_(down, a=5**0.5))
        layer.__class__ = LowRankLinear

    def merge(self) -> None:
        """Converts back to a plain layer, with the sum as its weight."""
        weight = self.weight.detach()
        del self.low_rank_up, self.low_rank_down
        self.__class__ = Linear  # type: ignore[assignment]
        cast(nn.Linear, self).weight = nn.Parameter(weight)


class LowRank:
    """Selects the layers of a model that get adapters.

    Args:
        rank: r, at least 1.
        patterns: regular expressions, matched against the names of linear layers.
    """

    def __init__(self, *, rank: int, patterns: Sequence[str]) -> None:
        if rank < 1:
            raise ValueError(f"model.adapters.rank={rank} must be at least 1.")
        self.rank = rank
        self.patterns = tuple(patterns)

    def put_into(self, model: nn.Module) -> None:
        """
        Raises:
            ValueError: a pattern matches no linear layer.
        """
        layers = {name: each for name, each in model.named_modules() if type(each) is Linear}
        for pattern in self.patterns:
            if not any(re.search(pattern, name) for name in layers):
                raise ValueError(f"model.adapters: no linear layer matches {pattern!r}.")
        for name, layer in layers.items():
            if any(re.search(pattern, name) for pattern in self.patterns):
                LowRankLinear.of(layer, self.rank)


def merge_adapters(model: nn.Module) -> None:
    """Converts all layers with adapters to plain layers."""
    for module in model.modules():
        if isinstance(module, LowRankLinear):
            module.merge()


def fresh_adapters(model: nn.Module) -> dict[str, Tensor]:
    """Initial weights of all adapters, with which they have no effect."""
    return {
        name: torch.zeros_like(value) if name.endswith(UP) else value.detach()
        for name, value in model.named_parameters()
        if name.endswith((UP, DOWN))
    }


def merged(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the equivalent plain model, from those of a model with adapters; other weights
    are returned unchanged.
    """
    plain = {name: value for name, value in weights.items() if not name.endswith((UP, DOWN))}
    for name, up in weights.items():
        if name.endswith(UP):
            layer = name.removesuffix(UP)
            with torch.no_grad():
                plain[f"{layer}weight"] = weights[f"{layer}weight"] + up @ weights[f"{layer}{DOWN}"]
    return plain
