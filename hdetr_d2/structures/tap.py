"""Predictions taken from inside the decoder layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from hdetr_d2.structures.own_parts import PartOfLayer
from hdetr_d2.structures.queries import Group


class Branch(Protocol):
    """Transforms queries taken from the middle of a layer. A branch with parameters belongs to the
    scheme that creates the tap.
    """

    def __call__(self, index: int, layer: nn.Module, found: Tensor) -> Tensor:
        """The states `Tensor[B, Q, C]` that the heads read.

        Args:
            index: of the layer, from 0.
            layer: the decoder layer, whose `feed_forward` the branch may use too.
            found: `Tensor[B, Q, C]`, the main queries after the layer's cross-attention.
        """


@dataclass(kw_only=True)
class Tap(Group):
    """A group consisting of the main queries in the middle of each decoder layer, after the
    cross-attention. It uses the references of that layer, and its results do not enter the next
    one.

    branch: from there to the heads; None for the identity. own: replacements for the decoder's
    heads, "class_logits" and "box_deltas" (see `OWN_PARTS`). trains_before: whether its boxes also
    pass gradients to the previous layer if those of the main queries do (look forward twice).
    """

    branch: Branch | None = None
    own: Mapping[str, PartOfLayer] = field(default_factory=dict)
    trains_before: bool = True
