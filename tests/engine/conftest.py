"""A detector in miniature with the interface that the trainer knows, and a stream for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.structures import Step

CPU = torch.device("cpu")


class Toy(nn.Module):
    """Learns the mean colour of its images; a part of the loss is random, as with dropout."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4, momentum=0.5)
        self.head = nn.Linear(4, 1)
        self.noise = noise
        self.progress: list[float] = []
        self.counts: list[float] = []
        self.shares: list[float] = []

    def class_head_keys(self) -> set[str]:
        return {"head"}

    def training_only_keys(self) -> set[str]:
        return {"slots"}

    def forward(self, batch: list[dict], step: Step) -> dict[str, Tensor]:
        self.counts.append(float(step.ground_truths))
        self.shares.append(step.share)
        self.progress.append(step.progress)
        colours = torch.stack([item["image"].float().mean((1, 2)) for item in batch])
        weight = torch.tensor([float(len(item["instances"])) for item in batch])
        with torch.no_grad():
            self.norm(self.body(colours).repeat(2, 1))
        loss = (self.head(self.body(colours)).squeeze(1).square() * weight).sum()
        noise = self.noise * torch.randn(()) * self.head.weight.sum()
        return {"loss_class": loss / step.ground_truths, "loss_noise": noise}


def item(number: int, objects: int, colour: float | None = None) -> dict[str, Any]:
    """An input dict whose image has one colour that follows from `number`."""
    value = (number * 37 % 11) / 11 if colour is None else colour
    instances = Instances((4, 4))
    instances.gt_boxes = Boxes(torch.tensor([[0.0, 0.0, 2.0, 2.0]]).repeat(objects, 1))
    instances.gt_classes = torch.zeros(objects, dtype=torch.int64)
    return {
        "image": torch.full((3, 4, 4), value),
        "image_id": number,
        "instances": instances,
        "height": 4,
        "width": 4,
    }


def stream(total: int, accumulate: int) -> Callable[[int], Iterator[list[dict]]]:
    """Batches of `total` images in `accumulate` parts; image n has n % 3 objects."""

    def start(iteration: int) -> Iterator[list[dict]]:
        part = total // accumulate
        first = iteration * total
        while True:
            yield [item(number, number % 3) for number in range(first, first + part)]
            first += part

    return start


def toy_trainer(
    *,
    model: nn.Module | None = None,
    total: int = 6,
    accumulate: int = 1,
    precision: Precision | None = None,
    ema: ModelEma | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    make_loader: Callable[[int], Iterator[list[dict]]] | None = None,
    **options: Any,
) -> Trainer:
    if model is None:
        torch.manual_seed(1)
        model = Toy()
    precision = precision or Precision("cpu")
    return Trainer(
        model=model,
        make_loader=make_loader or stream(total, accumulate),
        optimizer=optimizer(model.parameters(), lr=0.01),
        scaler=precision.scaler(),
        precision=precision,
        device=CPU,
        seed=3,
        accumulate=accumulate,
        ema=ema,
        **options,
    )


@pytest.fixture
def make_toy() -> type[Toy]:
    return Toy


@pytest.fixture
def make_item() -> Callable[..., dict[str, Any]]:
    return item


@pytest.fixture
def make_stream() -> Callable[[int, int], Callable[[int], Iterator[list[dict]]]]:
    return stream


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    return toy_trainer
