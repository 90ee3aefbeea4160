"""Ways to compute the losses of a step, including ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from matching_and_loss_cases import WEIGHTS
from torch import Tensor
from torch.profiler import record_function

from hdetr_d2.losses import Criterion, FocalLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.structures import GroupOutput, Step


@dataclass(frozen=True)
class Contender:
    """A way to compute the losses of a step, from predictions in its own form.

    losses: returns the weighted losses under our names. leaves: the predictions.
    """

    losses: Callable[[], dict[str, Tensor]]
    leaves: list[Tensor]

    def forward(self) -> Tensor:
        """The sum of the losses, ready for a backward."""
        return torch.stack([*self.losses().values()]).sum()

    def forward_and_backward(self) -> tuple[Tensor, ...]:
        """The gradients of the leaves."""
        total = self.forward()
        with record_function("backward"):
            return torch.autograd.grad(total, self.leaves)


def ours(outputs: Sequence[GroupOutput]) -> Contender:
    """As in the model."""
    matcher = HungarianMatcher(weights=WEIGHTS)
    criterion = Criterion(class_loss=FocalLoss(), matcher=matcher, weights=WEIGHTS)

    def losses() -> dict[str, Tensor]:
        with record_function("match"):
            assignments = criterion.assign(outputs)
        found = {}
        with record_function("loss"):
            step = Step.of(outputs[0].targets)
            for output, assignment in zip(outputs, assignments, strict=True):
                found |= criterion(output, assignment, step)
        return found

    predictions = [output.predictions for output in outputs]
    return Contender(losses, [leaf for each in predictions for leaf in (each.logits, each.boxes)])
