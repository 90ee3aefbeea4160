"""Losses on validation data of which two processes have different numbers of batches;
test_validation_loss.py runs it. Each process writes what it was told to its own file.
"""

import hdetr_d2  # noqa: F401

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from detectron2.config import instantiate
from detectron2.utils import comm
from torch import Tensor, nn
from two_processes import image

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.validation_loss import validation_losses
from hdetr_d2.structures import Step
from hdetr_d2.utils.distributed import apart, mean_over_processes

CONFIG = Path(__file__).with_name("small_taught_recipe.py")
SHARES = [[(3, 0), (1,), (2, 4)], []], [[(3, 0), (2, 4)], [(1,)]]


class OneEach(nn.Module):
    """Each object has a loss of 1, divided by how many there are in a step; and a mean is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
        objects = torch.full((), float(sum(len(item["instances"]) for item in batch)))
        losses = {"loss_class": self.weight * objects / step.ground_truths}
        losses["loss_mean"] = self.weight / mean_over_processes(self.weight.detach())
        return losses | ({"loss_second": self.weight} if objects == 2 else {})


def losses(model: nn.Module, batches: list[list[dict]]) -> dict[str, float]:
    return validation_losses(model, batches, 0.5, nullcontext)


def counted(*objects: int) -> list[list[dict]]:
    return [[{"instances": [0] * count}] for count in objects]


def detector(share: list[list[tuple[int, ...]]]) -> dict[str, float]:
    """The losses of a detector with teachers, on what this process has."""
    torch.manual_seed(0)
    model = instantiate(load_config(str(CONFIG), ["data.num_classes=3"]).model)
    torch.manual_seed(1)
    images = [image(number, objects=number) for number in range(5)]
    return losses(model, [[images[n] for n in batch] for batch in share[comm.get_rank()]])


def look(folder: str) -> None:
    torch.set_num_threads(1)
    rank, model = comm.get_rank(), OneEach()
    counts = [(10, 10), (2,)], [(3, 4), ()], [(), ()]
    told = [losses(model, counted(*each[rank])) for each in counts]
    both = [detector(share) for share in SHARES]
    with apart():
        alone = mean_over_processes(torch.full((), float(rank)))
    assert alone == rank and mean_over_processes(torch.full((), float(rank))) == 0.5
    Path(folder, f"{rank}.json").write_text(json.dumps([*told, both]))


if __name__ == "__main__":
    launch(look, sys.argv[1], device="cpu")
