"""What the decoder says of the queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.structures.queries import Group
from hdetr_d2.structures.targets import Targets


@dataclass
class Predictions:
    """What a group predicts, all layers stacked.

    logits: `Tensor[L, B, Q, K]`. boxes: `Tensor[L, B, Q, 4]` cxcywh in [0, 1]. states: what the
    heads read in the last decoder layer, `Tensor[B, Q, C]`; None for proposals.
    """

    logits: Tensor
    boxes: Tensor
    states: Tensor | None = None


@dataclass
class DecoderOutput:
    """What the decoder says of the queries of all groups, which stand one after the other; a layer
    may lack the last ones.

    logits: `Tensor[B, Q, K]` of each layer. boxes: `Tensor[B, Q, 4]` of each layer, cxcywh in [0,
    1]. states: of the last layer, `Tensor[B, Q, C]`.
    """

    logits: list[Tensor]
    boxes: list[Tensor]
    states: Tensor

    def split(self, lengths: Sequence[int], first: Sequence[int] = ()) -> list[Predictions]:
        """The predictions of each group, in one piece: a part of what is stacked already would be
        copied by every operator that asks for that.

        Args:
            lengths: queries of each group.
            first: the first layer that each is in, in ascending order; by default all are in all.
        """
        first = first or [0] * len(lengths)
        logits, boxes = (_split(layers, lengths, first) for layers in (self.logits, self.boxes))
        states = self.states.split([*lengths], 1)
        return [Predictions(*part) for part in zip(logits, boxes, states, strict=True)]


def _split(layers: Sequence[Tensor], lengths: Sequence[int], first: Sequence[int]) -> list[Tensor]:
    """`Tensor[B, Q, N]` of each layer to `Tensor[L, B, Q_g, N]` of each group."""
    parts: list[list[Tensor]] = [[] for _ in lengths]
    for index, layer in enumerate(layers):
        present = [n for n, start in zip(lengths, first, strict=True) if start <= index]
        for mine, part in zip(parts, layer.split(present, 1), strict=False):
            mine.append(part)
    return [torch.stack(mine) for mine in parts]


@dataclass
class GroupOutput:
    """The predictions of a group beside what it learns; matcher and losses read nothing else.

    predictions: of the group. targets: the ground truth, the same boxes for every group of a step;
    a further task may have others.
    """

    group: Group
    predictions: Predictions
    targets: Targets
