"""The interface of a training scheme."""

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
    """What a scheme can use when it contributes to a training step.

    step: the training step. inputs: Detectron2's dicts of the batch, as the model receives them,
    for teachers that process images themselves. targets: the ground truth. maps: of the backbone,
    the neck and the encoder. main: the main group. slots: the queries that were selected for the
    `slots()` of schemes, by scheme name. num_layers: decoder layers. embed_boxes: computes the
    positional query from boxes, `QuerySelection.embed_boxes`. others: groups added by the schemes
    earlier in the list.
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
        """The references of queries at `Tensor[B, Q, 4]` cxcywh in [0, 1], in the form that the
        main queries use: all queries of a step share one form.
        """
        reference = self.main.queries.reference
        return None if reference is None else boxes[..., : reference.shape[-1]]


@dataclass
class Contribution:
    """What a scheme adds: query groups for the decoder; losses of its own heads, normalised as if
    these images were the whole step; additional objectives of groups (its own, those of other
    schemes or the main one); objectives of the main queries inside the decoder layers; and the
    objective of the proposals of its `proposal_heads`.
    """

    groups: list[QueryGroup] = field(default_factory=list)
    losses: dict[str, Tensor] = field(default_factory=dict)
    tasks: list[FurtherTask] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    proposals: Group | None = None


class Scheme(nn.Module):
    """A training scheme. The model calls it only in training; by default every method does nothing.

    sets_capacity: whether the scheme implements `capacity`; only one scheme of a model may.

    Args:
        name: of its group in the losses, and of its learned slots in a checkpoint. Not needed by a
            scheme without queries.

    Raises:
        ValueError: a name that would make two losses look alike.
    """

    sets_capacity: bool = False

    def __init__(self, name: str = "") -> None:
        super().__init__()
        check_name(name)
        self.name = name

    def slots(self, num_queries: int) -> int:
        """How many extra queries the scheme needs from the query selection, after the `num_queries`
        main ones. A two-stage selection gives fewer if there are not enough tokens.
        """
        return 0

    def connect(self, proposal_heads: nn.Module | None) -> None:
        """Called once before training. `proposal_heads` are the heads of a two-stage query
        selection, which the scheme may copy for its own; None if there are no proposals.
        """
        return

    def class_tables(self) -> list[str]:
        """Names of its parameters that have one row per class."""
        return []

    def proposal_heads(self) -> nn.Module | None:
        """Class and box heads for its own slots, in the role that the two-stage selection's heads
        have for the main queries: the slots then start at the best proposals of these heads. A
        scheme without slots gets the main slots again, at these proposals. None takes the next
        ranks of the main proposals.
        """
        return None

    def contribute(self, context: Context) -> Contribution:
        """The groups and losses that the scheme adds to this step."""
        return Contribution()

    def capacity(self, layer: int, num_layers: int, progress: float) -> int:
        """How many main queries a target may take in `layer` of `num_layers`."""
        return 1

    def phase(self, progress: float) -> Hashable:
        """What else depends on the training progress: steps of equal phase perform the same
        operations on the same tensors.
        """
        return None

    def main_weight(self, context: Context) -> float:
        """A factor on the class and box losses of the main group, to balance it against groups that
        learn the same.
        """
        return 1.0

    def assigner_of_main(self, assigner: Assigner) -> Assigner:
        """How targets are assigned to the main queries: replaces `assigner`, which the earlier
        schemes have built from a matching.
        """
        return assigner

    def assigner_of_proposals(self, assigner: Assigner) -> Assigner:
        """The same for the proposals of a two-stage model."""
        return assigner

    def detectors(self) -> Mapping[str, Callable[[ImageMaps], list[Instances]]]:
        """Detectors that the scheme has trained besides the decoder, by name. Each maps the maps of
        a batch to the `pred_boxes` (xyxy in pixels of the model's input), `scores` and
        `pred_classes` of each image.
        """
        return {}


def check_name(name: str) -> None:
    """Raises ValueError if a group's name collides with loss names of a layer or of the encoder's
    proposals.
    """
    if not re.fullmatch(r"\w*", name) or re.search(r"(^|_)\d+$", name) or name == PROPOSALS:
        raise ValueError(
            f"A group of queries cannot be named {name!r}: letters, digits and _ without a number "
            f"at the end, which is that of a layer, and not {PROPOSALS!r}."
        )


def check_at_least(least: int, **options: int) -> None:
    """Raises ValueError for the first option that is smaller than `least`."""
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
