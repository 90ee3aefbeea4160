"""What the queries learned in a training step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from torch import Tensor, nn

from hdetr_d2.structures import Assignment, GroupOutput, Step


class Learning(NamedTuple):
    """The predictions of a group, and what its queries learn; an assignment, or pairs."""

    output: GroupOutput
    assignment: Any


class Trained(NamedTuple):
    """The weighted losses of a step, and every group by its name in them."""

    losses: dict[str, Tensor]
    groups: dict[str, Learning]


def run_step(model: nn.Module, batch: list[dict], step: Step | None = None) -> Trained:
    groups = {}

    def remember(criterion: nn.Module, args: tuple) -> None:
        output, learned, _ = args
        groups[output.group.name] = Learning(output, learned)

    with model.criterion.register_forward_pre_hook(remember):
        losses = model(batch, step)
    return Trained(losses, groups)


@pytest.fixture
def train_step() -> Callable[..., Trained]:
    """`train_step(model, batch, step).groups["one2many"].assignment`."""
    return run_step


def distances(matched: tuple[GroupOutput, Assignment]) -> list[float]:
    """The L1 distance of every matched query from its target, summed for each layer."""
    output, assignment = matched
    sums = [0.0] * len(assignment)
    for layer, image, query in (assignment >= 0).nonzero().tolist():
        truth = output.targets.boxes[image, assignment[layer, image, query]]
        box = output.predictions.boxes[layer, image, query]
        sums[layer] += (box - truth).abs().sum().item()
    return sums


@pytest.fixture
def summed_distances() -> Callable[[tuple[GroupOutput, Assignment]], list[float]]:
    return distances
