"""One optimizer step: data, forward, backward, update; everything around it is a hook's."""

import logging
import math
import random
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from detectron2.engine import TrainerBase
from detectron2.utils import comm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from hdetr_d2.engine.ddp import undistributed
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.errors import UserError
from hdetr_d2.utils.distributed import mean_over_processes
from hdetr_d2.utils.timing import StepTimer, section

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]


def seed_step(seed: int, iteration: int, rank: int) -> None:
    """Make all random state a function of the position: a resumed run then repeats it."""
    high, low = (
        int(word) for word in np.random.SeedSequence([seed, iteration, rank]).generate_state(2)
    )
    torch.manual_seed(high << 32 | low)
    np.random.seed(high)
    random.seed(low)


@dataclass(frozen=True)
class StepRecord:
    """What a step leaves to be read later: at once, the host would wait for the device."""

    iteration: int
    names: list[str]
    values: Tensor  # float32 [len(names)]
    image_ids: list[Any]


class Trainer(TrainerBase):
    """Trains a model whose `forward(batch, num_targets=...)` returns a dict of weighted losses.

    A step goes over `accumulate` micro-batches. The losses of each are divided by the ground truths
    of the whole step (all micro-batches, averaged over the processes), so their sum is the loss of
    the whole batch. A step with a gradient that is not finite changes no weight; after
    `max_bad_steps` steps in a row with such a gradient or loss the training ends. On CUDA the step
    does not wait for the device: metrics are read every `log_period` steps.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        make_loader: Callable[[int], Iterable[Batch]],
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
        precision: Precision,
        device: torch.device,
        seed: int,
        accumulate: int = 1,
        clip_grad_norm: float | None = None,
        max_bad_steps: int = 20,
        log_period: int = 20,
        ema: ModelEma | None = None,
    ) -> None:
        """
        Args:
            model: on `device`, in DistributedDataParallel or not.
            make_loader: from the number of steps already done to the micro-batches of this process;
                what it counts in a dict `counts` is logged.
            scaler: of the loss; `Precision.scaler()`.
            clip_grad_norm: largest norm of the whole gradient; None does not clip.
        """
        super().__init__()
        self.model = model
        self.make_loader = make_loader
        self.optimizer = optimizer
        self.scaler = scaler
        self.precision = precision
        self.device = device
        self.seed = seed
        self.accumulate = accumulate
        self.clip_grad_norm = math.inf if clip_grad_norm is None else clip_grad_norm
        self.max_bad_steps = max_bad_steps
        self.log_period = log_period
        self.ema = ema
        self.timer = StepTimer(device)
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._batches: Iterator[Batch] = iter(())
        self._data_counts: Mapping[str, int] = {}
        self._records: list[StepRecord] = []
        self._bad_steps = 0

    def before_train(self) -> None:
        self.model.train()
        loader = self.make_loader(self.start_iter)
        self._data_counts = getattr(loader, "counts", {})
        self._batches = iter(loader)
        super().before_train()

    def run_step(self) -> None:
        """Raises UserError when too many steps in a row were not finite."""
        seed_step(self.seed, self.iter, comm.get_rank())
        with self.timer:
            with section("data"):
                batches = [next(self._batches) for _ in range(self.accumulate)]
            losses = self._add_gradients(batches)
            with section("optimizer"):
                norm = self._update()
        values = {**losses, "total_loss": torch.stack([*losses.values()]).sum(), "grad_norm": norm}
        self._records.append(
            StepRecord(
                self.iter,
                list(values),
                torch.stack([value.float() for value in values.values()]),
                [
                    item.get("image_id", item.get("file_name"))
                    for batch in batches
                    for item in batch
                ],
            )
        )
        if self.device.type == "cpu" or self._logs_now():
            self._read_records()

    def _logs_now(self) -> bool:
        done = self.iter + 1
        return done % self.log_period == 0 or done == self.max_iter

    def _add_gradients(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Forward and backward of all micro-batches; returns the losses of the step, detached."""
        count = sum(len(item["instances"]) for batch in batches for item in batch)
        num_targets = mean_over_processes(torch.full((), float(count), device=self.device))
        total: dict[str, Tensor] = {}
        for index, batch in enumerate(batches):
            with self._communication(last=index == len(batches) - 1):
                with section("forward"), self.precision.autocast():
                    losses = self.model(batch, num_targets=num_targets)
                with section("backward"):
                    self.scaler.scale(sum(losses.values())).backward()
            for name, loss in losses.items():
                total[name] = total.get(name, 0) + loss.detach()
        self.after_backward()
        return total

    def _communication(self, *, last: bool) -> AbstractContextManager:
        """Gradients are exchanged once, with the last micro-batch."""
        if last or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def _update(self) -> Tensor:
        """Clip, step unless a gradient is not finite, average; returns the norm before clipping."""
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.clip_grad_norm)
        self.scaler.step(self.optimizer)
        # Without a scaled loss the scaler is there for its check of the gradients only.
        self.scaler.update(None if self.precision.scales_loss else 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update_parameters(undistributed(self.model))
        return norm.detach()

    def _read_records(self) -> None:
        """Put the metrics of the last steps into the storage, averaged over processes."""
        records, self._records = self._records, []
        values = iter(
            mean_over_processes(torch.cat([record.values for record in records])).tolist()
        )
        for record in records:
            metrics = {name: next(values) for name in record.names}
            if self._is_good(record, metrics):
                for name, value in metrics.items():
                    self.storage.put_scalar(name, value, cur_iter=record.iteration)
        for name, seconds in self.timer.pop().items():
            self.storage.put_scalar(f"time/{name}", seconds)
        for name, count in self._data_counts.items():
            self.storage.put_scalar(f"data/{name}", count, smoothing_hint=False)
        self.storage.put_scalar("memory/peak_mb", peak_memory(self.device), smoothing_hint=False)

    def _is_good(self, record: StepRecord, metrics: Mapping[str, float]) -> bool:
        if math.isfinite(metrics["total_loss"]) and math.isfinite(metrics["grad_norm"]):
            self._bad_steps = 0
            return True
        self._bad_steps += 1
        wrong = ", ".join(
            f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)
        )
        if self._bad_steps >= self.max_bad_steps:
            # The metrics are those of all processes, so all of them come here together.
            images = list(chain(*comm.all_gather(record.image_ids)))
            raise UserError(
                f"{self._bad_steps} steps in a row were not finite, the last at iteration "
                f"{record.iteration} ({wrong}) on the images {images}: lower optimizer.lr, or "
                "train without amp"
            )
        logger.warning(
            "Iteration %d is not finite (%s), its update is skipped; images of this process: %s",
            record.iteration,
            wrong,
            record.image_ids,
        )
        return False


def peak_memory(device: torch.device) -> float:
    """Most memory used so far, in MB: allocated on a CUDA device, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
