"""The contract of a training scheme."""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from detectron2.structures import Instances
from torch import Tensor, nn

from hdetr_d2.structures import (
    PROPOSALS,
    Assigner,
    FurtherTask,
    Group,
    ImageMaps,
    Queries,
    QueryGroup,
    Step,
    Tap,
    Targets,
)


@dataclass(kw_only=True)
class Context:
    """What a scheme may look at when it adds to a training step.

    step: that the images are of. inputs: Detectron2's dicts of the batch, as the model gets them,
    for teachers that look for themselves. targets: the ground truth. maps: of the backbone, the
    neck and the encoder. main: the main group. slots: the queries that the selection made for the
    `slots()` of schemes, by their names. num_layers: decoder layers. embed_boxes: the position that
    the query selection gives queries at boxes, `QuerySelection.embed_boxes`. others: the groups
    that the schemes before this one in the list add.
    """

    step: Step
    inputs: Sequence[dict]
    targets: Targets
    maps: ImageMaps
    main: QueryGroup
    slots: Mapping[str, Queries]
    num_layers: int
    embed_boxes: Callable[[Tensor], Tensor | None]
    others: list[QueryGroup] = field(default_factory=list)

    def reference_at(self, boxes: Tensor) -> Tensor | None:
        """The reference of queries at `Tensor[B, Q, 4]` cxcywh in [0, 1], of the form that the main
        ones have: all of a step have the same.
        """
        reference = self.main.queries.reference
        return None if reference is None else boxes[..., : reference.shape[-1]]


@dataclass
class Contribution:
    """Query groups for the decoder, losses of the scheme's own heads, as if these images were the
    whole step, what groups learn besides, those of this and of other schemes and the main one, what
    the main queries learn inside the decoder layers, and what the proposals of its `proposal_heads`
    learn.
    """

    groups: list[QueryGroup] = field(default_factory=list)
    losses: dict[str, Tensor] = field(default_factory=dict)
    tasks: list[FurtherTask] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    proposals: Group | None = None


class Scheme(nn.Module):
    """A training scheme. The model asks it in training only; every method does nothing by default.

    sets_capacity: whether `capacity` answers anything; only one scheme of a model may.

    Args:
        name: of its group in the losses, and of its learned slots in a checkpoint; a scheme that
            adds no queries needs none.

    Raises:
        ValueError: a name that would make one loss look like another.
    """

    sets_capacity: bool = False

    def __init__(self, name: str = "") -> None:
        super().__init__()
        check_name(name)
        self.name = name

    def slots(self, num_queries: int) -> int:
        """How many more queries it wants from the query selection, behind the `num_queries` main
        ones. With fewer tokens than that, a two-stage selection gives fewer.
        """
        return 0

    def connect(self, proposal_heads: nn.Module | None) -> None:
        """Asked once, before the training: `proposal_heads` are those of a two-stage query
        selection as they start, which it may copy for its own; None without proposals.
        """
        return

    def class_tables(self) -> list[str]:
        """The names of its parameters with a row for each class."""
        return []

    def proposal_heads(self) -> nn.Module | None:
        """Class and box heads for its slots alone, as the two-stage selection has for the main
        ones: the slots then start at the best proposals of these. A scheme without slots gets the
        main slots again, at these proposals. None for the next ranks.
        """
        return None

    def contribute(self, context: Context) -> Contribution:
        """The groups and losses it adds to this step."""
        return Contribution()

    def capacity(self, layer: int, num_layers: int, progress: float) -> int:
        """How many main queries a target may take in `layer` of `num_layers`."""
        return 1

    def phase(self, progress: float) -> Hashable:
        """What else of it follows the progress of the training: two steps with the same do the same
        with the same tensors.
        """
        return None

    def main_weight(self, context: Context) -> float:
        """A factor of the class and box losses of the main group: its part beside groups that
        learn the same.
        """
        return 1.0

    def assigner_of_main(self, assigner: Assigner) -> Assigner:
        """How the main queries find their targets, in the place of `assigner`, which the schemes
        before this one have made of a matching.
        """
        return assigner

    def assigner_of_proposals(self, assigner: Assigner) -> Assigner:
        """The same of the proposals of a two-stage model."""
        return assigner

    def detectors(self) -> Mapping[str, Callable[[ImageMaps], list[Instances]]]:
        """What it has learned that finds objects by itself, by name: to the maps of a batch the
        `pred_boxes` (xyxy in pixels of the fed image), `scores` and `pred_classes` of each image.
        """
        return {}


def check_name(name: str) -> None:
    """Raises ValueError for a name of a group that has the losses of others: of a layer, of the
    encoder's proposals.
    """
    if not re.fullmatch(r"\w*", name) or re.search(r"(^|_)\d+$", name) or name == PROPOSALS:
        raise ValueError(
            f"A group of queries cannot be named {name!r}: letters, digits and _ without a number "
            f"at the end, which is that of a layer, and not {PROPOSALS!r}."
        )


def check_at_least(least: int, **options: int) -> None:
    """Raises ValueError for the first of the options of a scheme that is smaller than `least`."""
    for name, value in options.items():
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}.")


def check_together(schemes: Sequence[Scheme]) -> None:
    """Raises ValueError for schemes that contradict each other."""
    names = [scheme.name for scheme in schemes if scheme.name]
    if len(names) != len(set(names)):
        raise ValueError(f"Schemes of one model need different names, not {names}.")
    setters = [type(scheme).__name__ for scheme in schemes if scheme.sets_capacity]
    if len(setters) > 1:
        raise ValueError(
            f"Only one scheme may say how many queries a target takes, not {' and '.join(setters)}."
        )
