"""Forward and backward of a micro-batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hdetr_d2.engine import bad_costs
from hdetr_d2.engine.device import Precision
from hdetr_d2.structures import Step
from hdetr_d2.utils.observation import Observer
from hdetr_d2.utils.timing import section

Batch = list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """The results of a micro-batch after its backward pass, detached.

    metrics: 0-d tensors: weighted losses, their sum, counts and means. observed: the model's
    observations, see `bad_costs`.
    """

    metrics: dict[str, Tensor]
    observed: bad_costs.Observed


class Gradients:
    """Adds the gradients of a micro-batch to the `.grad` of the parameters."""

    def __init__(
        self,
        *,
        model: nn.Module,
        precision: Precision,
        scaler: torch.amp.GradScaler,
        processes: int,
    ) -> None:
        """
        Args:
            model: its `forward(batch, step)` returns a dict of weighted losses.
            scaler: scales the loss.
            processes: number of processes that train the model.
        """
        self.model = model
        self.precision = precision
        self.scaler = scaler
        self.processes = processes

    def __call__(self, batch: Batch, step: Step) -> Outcome:
        return self.of(lambda: self.model(batch, step), step)

    def of(self, losses: Callable[[], dict[str, Tensor]], step: Step) -> Outcome:
        """Runs `losses` and backpropagates the sum of the losses that it returns."""
        with section("forward"), self.precision.autocast(), Observer() as observer:
            found = losses()
        loss = torch.stack([*found.values()]).sum()
        counts = bad_costs.count(observer.seen, loss.device)
        with section("backward"):
            self.scaler.scale(bad_costs.spoil(loss, counts)).backward()
        # Metrics are averaged over processes, but counts are summed.
        counted = zip(bad_costs.METRICS, counts * self.processes, strict=True)
        means = {name: value * step.share for name, value in observer.means.items()}
        metrics = {**found, "total_loss": loss, **dict(counted), **means}
        detached = {name: value.detach() for name, value in metrics.items()}
        return Outcome(detached, observer.seen)
