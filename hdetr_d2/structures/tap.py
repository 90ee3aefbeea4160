"""Predictions that are taken from inside the decoder layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from hdetr_d2.structures.own_parts import PartOfLayer
from hdetr_d2.structures.queries import Group


class Branch(Protocol):
    """What a tap makes of the queries in the middle of a layer. A module that learns belongs to the
    scheme that makes the tap.
    """

    def __call__(self, index: int, layer: nn.Module, found: Tensor) -> Tensor:
        """The states `Tensor[B, Q, C]` that the heads read.

        Args:
            index: of the layer, from 0 on.
            layer: the decoder layer, whose `feed_forward` a branch may go through, too.
            found: `Tensor[B, Q, C]`: the main queries after the layer's attention to the memory.
        """


@dataclass(kw_only=True)
class Tap(Group):
    """A group whose queries are the main ones in the middle of each decoder layer, after its
    attention to the memory: they have the references of that layer, and what is made of them there
    does not enter the next one.

    branch: from there to the heads; None for nothing. own: what it has in the place of the
    decoder's heads, "class_logits" and "box_deltas" (see `OWN_PARTS`). trains_before: whether its
    boxes also train the layer before where those of the main queries do so (look forward twice).
    """

    branch: Branch | None = None
    own: Mapping[str, PartOfLayer] = field(default_factory=dict)
    trains_before: bool = True
