"""Two trainings: in one only the second process sees an object, in the other none does.
test_empty_steps.py runs it under torchrun; each process writes what came of them to its own file.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import torch
from detectron2.utils import comm
from torch import Tensor, nn

from hdetr_d2.engine.ddp import distribute
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.errors import UserError


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: list[dict], num_targets: Tensor, share: float) -> dict[str, Tensor]:
        return {"loss_class": self.weight / num_targets.clamp(min=1)}


def train(objects: list[int]) -> str:
    """What comes of four steps, of which the second process sees so many `objects` in each."""
    model, precision = Constant(), Precision("cpu")
    mine = objects if comm.get_rank() == 1 else [0] * len(objects)
    trainer = Trainer(
        model=distribute(model),
        make_loader=lambda done: [[{"image_id": 5, "instances": [0] * n}] for n in mine],
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        scaler=precision.scaler(),
        precision=precision,
        device=torch.device("cpu"),
        seed=0,
        max_empty_steps=3,
    )
    try:
        trainer.train(0, len(objects))
    except UserError as error:
        return str(error)
    return f"{len(objects)} steps"


def main(folder: str) -> None:
    lines = [train([0, 1, 0, 0]), train([0, 0, 0, 0])]
    Path(folder, f"{comm.get_rank()}.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    launch(main, sys.argv[1], device="cpu")
