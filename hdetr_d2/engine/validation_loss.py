"""The losses of a model on validation data."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import Tensor, nn

from hdetr_d2.structures import Step
from hdetr_d2.utils.distributed import apart
from hdetr_d2.utils.random_state import seeded

PREFIX = "validation/"


class ValidationLoss(HookBase):
    """Every `period` iterations (0: never) and at the end, puts the losses on the validation data
    into the storage, e.g. as `validation/loss_class` and `validation/total_loss`.
    """

    def __init__(self, losses: Callable[[float], Mapping[str, float]], *, period: int) -> None:
        """
        Args:
            losses: returns the losses by name, given the training progress in [0, 1]; called in
                every process.
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
    """The weighted losses of a model on a data set, and their sum, `total_loss`: averaged over the
    batches of all processes, weighted by each batch's number of objects (at least one).

    Nothing is learned, dropout is off, and the random numbers are the same each time and do not
    affect those of the training. Processes work independently, so that they may have different
    numbers of batches, or none: the result equals that of a single process with all batches.

    Args:
        model: not wrapped in DistributedDataParallel; its `forward(batch, step)` returns losses in
            training mode.
        batches: the batches of this process, with "instances".
        autocast: returns the context manager of a forward pass.
    """
    device = next(model.parameters()).device
    sums: dict[str, Tensor] = {}
    counted = 0
    modes = {module: module.training for module in model.modules()}
    model.eval()
    # The model must return losses, but no submodule may behave as in training.
    model.training = True
    try:
        with seeded(0, [device]), apart():
            for batch in batches:
                objects = sum(len(item["instances"]) for item in batch)
                truths = torch.full((), float(objects), device=device)
                with autocast():
                    losses = model(batch, Step(truths, 1.0, progress))
                weight = max(1, objects)
                counted += weight
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0) + weight * value.detach().double()
    finally:
        for module, training in modes.items():
            module.training = training
    return _means(sums, counted)


def _means(sums: Mapping[str, Tensor], counted: int) -> dict[str, float]:
    """Sums over all processes, divided by the total count; the names may differ between
    processes.
    """
    values = torch.stack([*sums.values()]).tolist() if sums else []
    gathered = comm.all_gather((counted, dict(zip(sums, values, strict=True))))
    total = sum(count for count, _ in gathered)
    names = dict.fromkeys(name for _, each in gathered for name in each)
    means = {name: sum(each.get(name, 0.0) for _, each in gathered) / total for name in names}
    return {**means, "total_loss": sum(means.values())} if means else {}
