"""The predictions of a step in the form used by other projects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hdetr_d2.structures import GroupOutput

Target = Mapping[str, Tensor]
"""For an image: labels `Tensor[G]`, boxes `Tensor[G, 4]`."""


@dataclass(frozen=True)
class Layers:
    """A group: for each layer logits `Tensor[B, Q, K]` and boxes `Tensor[B, Q, 4]`, all leaves, and
    their targets.
    """

    name: str
    predictions: list[tuple[Tensor, Tensor]]
    targets: list[Target]
    capacity: int

    @classmethod
    def of(cls, output: GroupOutput) -> "Layers":
        stacked = (output.predictions.logits, output.predictions.boxes)
        layers = ([each.detach().clone().requires_grad_() for each in part] for part in stacked)
        truth = zip(output.targets.labels, output.targets.boxes, strict=True)
        targets: list[Target] = [{"labels": labels, "boxes": boxes} for labels, boxes in truth]
        capacity = output.group.assigner.capacity[0]
        return cls(output.group.name, list(zip(*layers, strict=True)), targets, capacity)

    def repeated_targets(self) -> list[Target]:
        """Every target repeated once per query that it takes."""
        times = self.capacity
        return [
            {"labels": target["labels"].repeat(times), "boxes": target["boxes"].repeat(times, 1)}
            for target in self.targets
        ]

    def suffixes(self) -> list[str]:
        """Of the layers, in the names of losses."""
        return [*(f"_{layer}" for layer in range(len(self.predictions) - 1)), ""]

    def group_suffix(self) -> str:
        return f"_{self.name}" if self.name else ""


def leaves_of(groups: Sequence[Layers]) -> list[Tensor]:
    return [leaf for group in groups for pair in group.predictions for leaf in pair]
