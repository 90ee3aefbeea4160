"""One optimizer step: data, forward, backward, update; everything else is done by hooks."""

import logging
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from detectron2.engine import TrainerBase
from detectron2.utils import comm
from torch import Tensor, nn
from torch.optim import Optimizer

from hdetr_d2.engine import bad_costs
from hdetr_d2.engine.bad_step_files import BadStepFiles
from hdetr_d2.engine.bad_steps import SCALE, BadSteps, StepRecord
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.early_stopping import TrainingEnds
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.empty_steps import TARGETS, EmptySteps
from hdetr_d2.engine.gradients import Batch, Gradients
from hdetr_d2.engine.graphs import GraphedGradients, Record
from hdetr_d2.engine.lost_processes import lost_at, tells_of_a_lost_process
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.slow_processes import SlowProcesses
from hdetr_d2.structures import Step
from hdetr_d2.utils.distributed import mean_over_processes
from hdetr_d2.utils.timing import StepTimer, section

logger = logging.getLogger(__name__)


def seed_step(seed: int, iteration: int, rank: int) -> None:
    """Makes all random state a function of seed, iteration and rank, so that a resumed run repeats
    it.
    """
    high, low = (
        int(word) for word in np.random.SeedSequence([seed, iteration, rank]).generate_state(2)
    )
    torch.manual_seed(high << 32 | low)
    np.random.seed(high)
    random.seed(low)


class Trainer(TrainerBase):
    """Trains a model whose `forward(batch, step)` returns a dict of weighted losses.

    A step consists of `accumulate` micro-batches. The losses of each are divided by the number of
    targets of the whole step (all micro-batches, averaged over the processes), and means are
    weighted by the micro-batch's share of this process's images, so that the sum is the loss of the
    whole batch. A step with a non-finite gradient or matching cost changes no weights;
    `max_bad_steps` consecutive steps with such a gradient, cost or loss end the training. So do
    `max_empty_steps` initial steps without an object, or a whole training without one. On CUDA the
    step does not wait for the device: metrics are read every `log_period` steps. They go to the
    storage of the main process, from which they are written.
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
        parallel: Parallel | None = None,
        accumulate: int = 1,
        clip_grad_norm: float | None = None,
        max_bad_steps: int = 20,
        max_empty_steps: int = 1000,
        log_period: int = 20,
        ema: ModelEma | None = None,
        bad_step_files: BadStepFiles | None = None,
        record: Record | None = None,
    ) -> None:
        """
        Args:
            model: on `device`.
            make_loader: maps the number of completed steps to an iterator over this process's
                micro-batches; if the iterator has a dict of counts in its attribute `counts`, these
                are logged.
            scaler: loss scaler, from `Precision.scaler()`.
            parallel: strategy for several processes; None for a single process.
            clip_grad_norm: maximum norm of the gradient of all parameters; None disables clipping.
            bad_step_files: stores bad steps; the host then waits for every step.
            record: how forward and backward are recorded, see `GraphedGradients`; requires one
                process and one micro-batch per step. None runs them normally.
        """
        super().__init__()
        self.parallel = parallel or Parallel()
        self.module = model
        self.model = self.parallel.wrap(model)
        self.make_loader = make_loader
        self.optimizer = optimizer
        self.scaler = scaler
        self.precision = precision
        self.device = device
        self.seed = seed
        self.accumulate = accumulate
        self.clip_grad_norm = math.inf if clip_grad_norm is None else clip_grad_norm
        self.log_period = log_period
        self.ema = ema
        self.timer = StepTimer(device)
        options: dict[str, Any] = dict(
            precision=precision, scaler=scaler, processes=comm.get_world_size()
        )
        self._gradients = (
            Gradients(model=self.model, **options)
            if record is None
            else GraphedGradients(record=record, model=model, **options)
        )
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._batches: Iterator[Batch] = iter(())
        self._data_counts: Mapping[str, int] = {}
        self._records: list[StepRecord] = []
        self.bad_step_files = bad_step_files
        self._bad_steps = BadSteps(max_bad_steps, self._keep)
        self._empty_steps = EmptySteps(max_empty_steps)
        self._slow_processes = SlowProcesses(period=log_period)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Runs until the last iteration, or until a hook ends the training.

        Raises:
            UserError: another process is gone, or as for `run_step`.
        """
        try:
            super().train(start_iter, max_iter)
        except TrainingEnds as end:
            logger.info("%s", end)
        except RuntimeError as error:
            if not tells_of_a_lost_process(error):
                raise
            raise lost_at(self.iter, error) from error

    def before_train(self) -> None:
        self.model.train()
        loader = self.make_loader(self.start_iter)
        self._data_counts = getattr(loader, "counts", {})
        self._batches = iter(loader)
        super().before_train()

    def run_step(self) -> None:
        """Raises UserError if too many steps were not finite or had no objects."""
        seed_step(self.seed, self.iter, comm.get_rank())
        with self.timer:
            with section("data"):
                batches = [next(self._batches) for _ in range(self.accumulate)]
            metrics, observed = self._add_gradients(batches)
            with section("optimizer"):
                metrics.update(self._update())
        self._records.append(
            StepRecord(
                self.iter,
                list(metrics),
                torch.stack([value.float() for value in metrics.values()]),
                [[item.get("image_id", item.get("file_name")) for item in b] for b in batches],
                observed,
                batches if self.bad_step_files else [],
            )
        )
        if self.device.type == "cpu" or self.bad_step_files or self._logs_now():
            self._read_records()

    def _logs_now(self) -> bool:
        done = self.iter + 1
        return done % self.log_period == 0 or done == self.max_iter

    def _add_gradients(
        self, batches: list[Batch]
    ) -> tuple[dict[str, Tensor], list[bad_costs.Observed]]:
        """Runs forward and backward of all micro-batches; returns the step's metrics, detached, and
        the observations of each micro-batch.
        """
        count = sum(len(item["instances"]) for batch in batches for item in batch)
        images = sum(len(batch) for batch in batches)
        ground_truths = mean_over_processes(torch.full((), float(count), device=self.device))
        total: dict[str, Tensor] = {TARGETS: ground_truths}
        observed = []
        for index, batch in enumerate(batches):
            step = Step(ground_truths, len(batch) / images, self.iter / self.max_iter)
            # Gradients are communicated only once, with the last micro-batch.
            last = index == len(batches) - 1
            with nullcontext() if last else self.parallel.accumulating(self.model):
                outcome = self._gradients(batch, step)
            observed.append(outcome.observed)
            for name, value in outcome.metrics.items():
                total[name] = total.get(name, 0) + value
        self.parallel.finish_gradients()
        self.after_backward()
        return total, observed

    def _update(self) -> dict[str, Tensor]:
        """Clips the gradients, updates the weights unless a gradient is not finite, and updates the
        moving average; returns the gradient norm before clipping, and the loss scale if there is
        one.
        """
        self.scaler.unscale_(self.optimizer)
        norm = self.parallel.clip(self._parameters, self.clip_grad_norm)
        scale = self.scaler.scale(torch.ones_like(norm))
        self.scaler.step(self.optimizer)
        # Without loss scaling, the scaler only checks the gradients.
        self.scaler.update(None if self.precision.scales_loss else 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update_parameters(self.module)
        return {"grad_norm": norm} | ({SCALE: scale} if self.precision.scales_loss else {})

    def _read_records(self) -> None:
        """Averages the metrics of the last steps over the processes and puts them into the
        storage.
        """
        records, self._records = self._records, []
        # Metrics are averaged over the processes, but counts are summed.
        counts = records[0].values.new_tensor([*self._data_counts.values()])
        parts = [*(record.values for record in records), counts * comm.get_world_size()]
        values = iter(mean_over_processes(torch.cat(parts)).tolist())
        for record in records:
            metrics = {name: next(values) for name in record.names}
            good = self._bad_steps.is_good(record, metrics)
            names = metrics if good else bad_costs.METRICS
            finite = {name: metrics[name] for name in names if math.isfinite(metrics[name])}
            self._put(finite, cur_iter=record.iteration)
            self._look_for_objects(record, metrics[TARGETS])
        times = self.timer.pop()
        self._slow_processes.look(self.iter, times)
        self._put({f"time/{name}": seconds for name, seconds in times.items()})
        last = {f"data/{name}": next(values) for name in self._data_counts}
        last["memory/peak_mb"] = peak_memory(self.device)
        self._put(last, smoothing_hint=False)

    def _keep(self, record: StepRecord, metrics: Mapping[str, float]) -> None:
        if self.bad_step_files:
            position = {"seed": self.seed, "progress": record.iteration / self.max_iter}
            given = {**position, "ground_truths": metrics[TARGETS]}
            self.bad_step_files.keep(record.iteration, record.batches, **given)

    def _put(self, metrics: Mapping[str, float], **options: Any) -> None:
        """Puts metrics into the storage, in the main process."""
        if comm.is_main_process():
            for name, value in metrics.items():
                self.storage.put_scalar(name, value, **options)

    def _look_for_objects(self, record: StepRecord, ground_truths: float) -> None:
        images = comm.get_world_size() * sum(map(len, record.image_ids))
        is_last = self.start_iter == 0 and record.iteration + 1 == self.max_iter
        self._empty_steps.look(ground_truths, images, is_last=is_last)


def peak_memory(device: torch.device) -> float:
    """Peak memory so far, in MiB: allocated on a CUDA device, otherwise resident in this process;
    NaN if the system does not report it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
