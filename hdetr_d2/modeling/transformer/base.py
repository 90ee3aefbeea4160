"""What the meta-architecture asks of an encoder and of a decoder."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.layers import Layout, Span
from hdetr_d2.structures import AttentionBias, Layers, Memory, Predictions, Queries, QueryGroup


def run_layer(layer: nn.Module, *inputs: Any, checkpointing: bool) -> Tensor:
    """The output of a layer; with `checkpointing` its activations are recomputed in the backward
    pass of a training step instead of being kept.
    """
    if checkpointing and layer.training:
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)


class Encoder(nn.Module, ABC):
    """Feature maps to memory."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes the maps of a batch.

        Args:
            features: `Tensor[B, C, H_l, W_l]` of each level, the finest first.
            padding: `Tensor[B, H, W]` bool of the images, True where padded.
        """


class Decoder(nn.Module, ABC):
    """Query groups and memory to predictions.

    num_layers: layers that predict. refine: whether a layer moves the boxes of the layer before.
    """

    num_layers: int
    refine: bool

    def forward(self, groups: Sequence[QueryGroup], memory: Memory) -> list[Predictions]:
        """The predictions of each group, all groups in one pass."""
        queries = Queries.join([group.queries for group in groups])
        lengths = [group.queries.content.shape[1] for group in groups]
        return self.decode(queries, Layouts(groups), memory).split(lengths)

    @abstractmethod
    def decode(self, queries: Queries, layouts: "Layouts", memory: Memory) -> Layers:
        """The predictions of the queries of all groups, which stand one after the other."""


class Layouts:
    """The layout of the groups in every layer: it changes where their attention has a bias.

    Raises:
        ValueError: a group sees one that is not there, or that has padding.
    """

    def __init__(self, groups: Sequence[QueryGroup]) -> None:
        self.biases = [_bias(group) for group in groups]
        self.unbiased = _layout(groups)

    def of_layer(self, layer: int, reference: Tensor | None, logits: Tensor | None) -> Layout:
        """That of `layer`; the rest as in `AttentionBias`, with the queries of all groups."""
        if all(bias is None for bias in self.biases):
            return self.unbiased
        sizes = [span.blocks * span.size for span in self.unbiased]
        rows = (_split(reference, sizes), _split(logits, sizes))
        parts = zip(self.biases, self.unbiased, *rows, strict=True)
        return [
            span._replace(bias=partial(bias, layer, reference=place, logits=scored))
            if bias is not None
            else span
            for bias, span, place, scored in parts
        ]


def _bias(group: QueryGroup) -> Callable[..., Tensor | None] | None:
    """The attention bias of a group, which keeps its padding out of sight."""
    if group.valid is None:
        return group.attention_bias
    return partial(_hide, group.attention_bias, ~group.valid[:, None])


def _hide(
    bias: AttentionBias | None, padding: Tensor, layer: int, *seen: Tensor, **known: Tensor | None
) -> Tensor:
    """`Tensor[B, N, N]`, or `Tensor[B, 1, N]` where `bias` has nothing to say; `padding` is
    `Tensor[B, 1, N]`.
    """
    scores = None if bias is None else bias(layer, *seen, **known)  # type: ignore[arg-type]
    if scores is None:
        scores = torch.zeros_like(padding, dtype=seen[0].dtype)
    return scores.masked_fill(padding, -math.inf)


def _split(rows: Tensor | None, sizes: Sequence[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if rows is None else rows.split([*sizes], 1)


def _layout(groups: Sequence[QueryGroup]) -> list[Span]:
    """Raises ValueError where a group sees one that is not there, or that has padding."""
    places = {group.name: place for place, group in enumerate(groups)}
    for group in groups:
        if absent := set(group.sees) - set(places):
            raise ValueError(
                f"The group {group.name!r} sees {sorted(absent)}, but there are {list(places)}."
            )
        if any(groups[places[name]].valid is not None for name in group.sees):
            raise ValueError(f"The group {group.name!r} cannot see a group with padding.")
    return [Span(*group.layout, tuple(places[name] for name in group.sees)) for group in groups]
