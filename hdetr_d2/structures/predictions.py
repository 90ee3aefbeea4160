"""The decoder's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.structures.queries import Group
from hdetr_d2.structures.targets import Targets


@dataclass
class Predictions:
    """The predictions of a group, all layers stacked.

    logits: `Tensor[L, B, Q, K]`. boxes: `Tensor[L, B, Q, 4]` cxcywh in [0, 1]. states: the input of
    the heads in the last decoder layer, `Tensor[B, Q, C]`; None for proposals.
    """

    logits: Tensor
    boxes: Tensor
    states: Tensor | None = None


@dataclass
class DecoderOutput:
    """The predictions for the queries of all groups, concatenated; a layer may lack the last
    groups.

    logits: `Tensor[B, Q, K]` per layer. boxes: `Tensor[B, Q, 4]` per layer, cxcywh in [0, 1].
    states: of the last layer, `Tensor[B, Q, C]`.
    """

    logits: list[Tensor]
    boxes: list[Tensor]
    states: Tensor

    def split(self, lengths: Sequence[int], first: Sequence[int] = ()) -> list[Predictions]:
        """The predictions of each group as contiguous tensors: slices of one stacked tensor would
        be copied by every operator that needs contiguity.

        Args:
            lengths: number of queries of each group.
            first: the first layer of each group, in ascending order; 0 by default.
        """
        first = first or [0] * len(lengths)
        logits, boxes = (_split(layers, lengths, first) for layers in (self.logits, self.boxes))
        states = self.states.split([*lengths], 1)
        return [Predictions(*part) for part in zip(logits, boxes, states, strict=True)]


def _split(layers: Sequence[Tensor], lengths: Sequence[int], first: Sequence[int]) -> list[Tensor]:
    """`Tensor[B, Q, N]` per layer to `Tensor[L, B, Q_g, N]` per group."""
    parts: list[list[Tensor]] = [[] for _ in lengths]
    for index, layer in enumerate(layers):
        present = [n for n, start in zip(lengths, first, strict=True) if start <= index]
        for mine, part in zip(parts, layer.split(present, 1), strict=False):
            mine.append(part)
    return [torch.stack(mine) for mine in parts]


@dataclass
class GroupOutput:
    """The predictions of a group with the targets it learns: all that matcher and losses read.

    predictions: of the group. targets: the ground truth, with the same boxes for every group of a
    step; an additional task may have others.
    """

    group: Group
    predictions: Predictions
    targets: Targets
