"""The losses of a model on data that it does not learn."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import Tensor, nn

from hdetr_d2.structures import Step
from hdetr_d2.utils.distributed import mean_over_processes
from hdetr_d2.utils.random_state import seeded

PREFIX = "validation/"


class ValidationLoss(HookBase):
    """Every `period` iterations (0: never) and at the end it puts the losses on the validation data
    into the storage, as `validation/loss_class` and `validation/total_loss`.
    """

    def __init__(self, losses: Callable[[float], Mapping[str, float]], *, period: int) -> None:
        """
        Args:
            losses: by name, of the progress of the training in [0, 1]; called in every process.
        """
        self.losses = losses
        self.period = period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if not self.period or (done % self.period and done < self.trainer.max_iter):
            return
        for name, value in self.losses(done / self.trainer.max_iter).items():
            self.trainer.storage.put_scalar(PREFIX + name, value, smoothing_hint=False)


@torch.no_grad()
def validation_losses(
    model: nn.Module,
    batches: Iterable[list[dict]],
    progress: float,
    autocast: Callable[[], AbstractContextManager],
) -> dict[str, float]:
    """The weighted losses of a model on a data set, and their sum, `total_loss`: means over the
    batches, in which a batch counts by its objects.

    Nothing is learned, dropout is off, and random numbers are the same each time and leave the
    training's alone. Processes may have different numbers of batches: one that has no more goes on
    with its last one, which then counts nothing, since losses are averaged over the processes.

    Args:
        model: not in DistributedDataParallel; its `forward(batch, step)` gives losses in training.
        batches: with "instances", of this process.
        autocast: makes the context of a forward pass.
    """
    device = next(model.parameters()).device
    sums: dict[str, Tensor] = {}
    counted = torch.zeros((), device=device)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    model.training = True  # losses are asked for, and of no part that it behaves as in training
    try:
        with seeded(0, [device]):
            for batch, count in _together(batches):
                truths = mean_over_processes(torch.full((), float(sum(_objects(batch)))).to(device))
                with autocast():
                    losses = model(batch, Step(truths, 1.0, progress))
                weight = count * truths.clamp(min=1)
                counted += weight
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0) + weight * value.detach().float()
    finally:
        for module, training in modes.items():
            module.training = training
    if not sums:
        return {}
    sums["total_loss"] = torch.stack([*sums.values()]).sum()
    means = mean_over_processes(torch.stack([counted, *sums.values()])).tolist()
    return {name: value / means[0] for name, value in zip(sums, means[1:], strict=True)}


def _objects(batch: list[dict]) -> list[int]:
    return [len(item["instances"]) for item in batch]


def _together(batches: Iterable[list[dict]]) -> Iterator[tuple[list[dict], float]]:
    """Batches and whether they count, until no process has any more."""
    stream, last = iter(batches), None
    while True:
        batch = next(stream, None)
        if not any(comm.all_gather(batch is not None)):
            return
        last = last if batch is None else batch
        if last is not None:
            yield last, float(batch is not None)
