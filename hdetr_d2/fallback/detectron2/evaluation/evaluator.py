"""Runs a model over a data set, and lets evaluators process its outputs."""

import datetime
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from detectron2._subset import absent
from detectron2.utils import comm
from detectron2.utils.logger import log_every_n_seconds
from torch import nn
from torch.utils.data import DataLoader

__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


class DatasetEvaluator:
    """Collects from the outputs of a model what its metrics need."""

    def reset(self) -> None:
        """Clears everything for a new round."""

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        """Processes a batch; both lists correspond element by element."""

    def evaluate(self) -> dict[str, Any] | None:
        """Task -> {metric: score}; may be None or empty in processes other than the first."""


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators as one."""

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self._evaluators = evaluators

    def reset(self) -> None:
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: list[Any], outputs: list[Any]) -> None:
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> dict[str, Any]:
        """The combined results; raises AssertionError if two have the same task."""
        together: dict[str, Any] = {}
        for evaluator in self._evaluators:
            results = evaluator.evaluate()
            if comm.is_main_process() and results is not None:
                twice = together.keys() & results.keys()
                assert not twice, f"Two evaluators have the same key for their results: {twice}"
                together.update(results)
        return together


class _Stopwatch:
    """Mean seconds of the parts of an iteration, without the first few iterations."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.warmup = min(5, total - 1)
        self.done = 0
        self._restart()

    def _restart(self) -> None:
        self.start = self._last = time.perf_counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self._seconds[part] += now - self._last
        self._last = now

    def finish_iteration(self) -> None:
        self.done += 1
        if self.done == self.warmup:
            self._restart()

    @property
    def counted(self) -> int:
        return self.done - self.warmup if self.done > self.warmup else self.done

    def mean(self, part: str) -> float:
        return self._seconds[part] / max(self.counted, 1)

    def progress(self) -> str:
        each = (time.perf_counter() - self.start) / max(self.counted, 1)
        eta = datetime.timedelta(seconds=int(each * (self.total - self.done)))
        parts = ", ".join(f"{part} {self.mean(part):.4f}" for part in self._seconds)
        return f"{self.done} of {self.total} batches, {each:.4f} s each ({parts}), eta: {eta}"

    def summary(self) -> str:
        seconds = time.perf_counter() - self.start
        return (
            f"Inference took {datetime.timedelta(seconds=int(seconds))}: "
            f"{seconds / max(self.counted, 1):.4f} s for a batch, of it "
            f"{self.mean('model'):.4f} s in the model, on {comm.get_world_size()} processes"
        )


def inference_on_dataset(
    model: Callable[[Any], Any],
    data_loader: DataLoader | Sequence[Any],
    evaluator: DatasetEvaluator | MutableSequence[DatasetEvaluator] | None,
    callbacks: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, Any]:
    """Runs the model over all batches without gradients, a module in eval mode, and evaluates.

    Args:
        model: called with each batch of the loader.
        data_loader: anything with a length that can be iterated.
        evaluator: one, several, or None to only measure time.
        callbacks: functions for "on_start", "before_inference", "after_inference" and "on_end".

    Returns:
        What the evaluator returns; {} for None.
    """
    if evaluator is None or isinstance(evaluator, MutableSequence):
        evaluator = DatasetEvaluators(evaluator or [])
    evaluator.reset()

    def call(name: str) -> None:
        (callbacks or {}).get(name, lambda: None)()

    logger.info(f"Evaluating {len(data_loader)} batches")
    with ExitStack() as stack:
        if isinstance(model, nn.Module):
            stack.enter_context(inference_context(model))
        stack.enter_context(torch.no_grad())
        watch = _Stopwatch(len(data_loader))
        call("on_start")
        for inputs in data_loader:
            watch.lap("data")
            call("before_inference")
            outputs = model(inputs)
            call("after_inference")
            if torch.cuda.is_available():
                # Otherwise the model's time would be attributed to the evaluator
                torch.cuda.synchronize()
            watch.lap("model")
            evaluator.process(inputs, outputs)
            watch.lap("evaluator")
            watch.finish_iteration()
            if watch.done > 2 * watch.warmup or watch.mean("model") > 5:
                log_every_n_seconds(logging.INFO, watch.progress(), n=5)
        call("on_end")
    logger.info(watch.summary())
    results = evaluator.evaluate()
    return {} if results is None else results


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; its previous mode is restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
