"""The smallest training, for scripts that run in two processes."""

import torch
from torch import Tensor, nn

from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.structures import Step


class OneWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
        return {"loss_class": self.weight / step.ground_truths.clamp(min=1)}


def make_trainer(model: OneWeight, batches: list[list[dict]], **options: int) -> Trainer:
    """A trainer of `model` on the `batches` of this process; every step takes off the gradient."""
    precision = Precision("cpu")
    return Trainer(
        model=model,
        make_loader=lambda done: batches,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        scaler=precision.scaler(),
        precision=precision,
        device=torch.device("cpu"),
        seed=0,
        parallel=DDP(),
        **options,
    )
