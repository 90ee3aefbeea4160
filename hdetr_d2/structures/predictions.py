"""What the decoder says of the queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hdetr_d2.structures.assignment import Assigner
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

    def split(self, lengths: Sequence[int]) -> "list[Predictions]":
        """Those of one row of queries after the other."""
        parts = [self.logits.split([*lengths], 2), self.boxes.split([*lengths], 2)]
        if self.states is not None:
            parts.append(self.states.split([*lengths], 1))
        return [Predictions(*part) for part in zip(*parts, strict=True)]


@dataclass
class Output:
    """The predictions of one group beside what they learn; matcher and criterion read nothing else.

    name: the suffix of the losses, "" for the main group. predictions: of the group. targets: the
    ground truth, the same boxes for every group of a step. assigner, weight, blocks: as in
    `QueryGroup`.
    """

    name: str
    predictions: Predictions
    targets: Targets
    assigner: Assigner
    weight: float = 1.0
    blocks: int = 1
