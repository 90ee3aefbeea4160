"""Measures the speed of trained models, independent of their runtime. Each runs in its own process,
and they take turns, so that other load on the machine affects all of them.
"""

import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.predictor import Detector, is_exported, open_detector

_WARM_UP = 3


@dataclass(frozen=True)
class Setting:
    """size: (H, W) of an image in pixels, before it is resized as in the model's data. batch:
    number of images per call. device: see `Predictor`. threads: threads per model; None for all
    cores. precision: precision of checkpoints; see `Predictor`.
    """

    size: tuple[int, int]
    batch: int = 1
    device: str = "auto"
    threads: int | None = None
    precision: str = "float32"


@dataclass(frozen=True)
class Timing:
    """model: its name. seconds: time of each round, from pixels to objects of a batch. batch:
    number of images. memory: peak memory of the whole process, in MiB.
    """

    model: str
    seconds: tuple[float, ...]
    batch: int
    memory: float

    def percentile(self, percent: float) -> float:
        """The given percentile of the times of all rounds, in milliseconds."""
        return float(np.percentile(self.seconds, percent)) * 1000

    @property
    def images_per_second(self) -> float:
        return self.batch * len(self.seconds) / sum(self.seconds)


def time_files(models: Sequence[str], setting: Setting, rounds: int) -> list[Timing]:
    """Times models that `Predictor` can open; see `time_in_turns`."""
    return time_in_turns(
        {model: partial(_open, model, setting) for model in models}, setting, rounds
    )


def _open(model: str, setting: Setting) -> Detector:
    precision = "float32" if is_exported(model) else setting.precision
    return open_detector(model, setting.device, threads=setting.threads, precision=precision)


def time_in_turns(
    models: Mapping[str, Callable[[], Detector]], setting: Setting, rounds: int
) -> list[Timing]:
    """Times models in separate processes, which run one after the other in every round; each timed
    run follows an untimed one.

    Args:
        models: maps each name to a function that opens the model in its process.

    Raises:
        UserError: a model cannot be opened.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(_Side(*each, setting)) for each in models.items()]
        for side in sides:
            side.answer()  # ready
        seconds = [[side.run() for side in sides] for _ in range(rounds)]
        each = zip(models, zip(*seconds, strict=True), sides, strict=True)
        return [Timing(model, own, setting.batch, side.memory()) for model, own, side in each]


class _Side:
    """The process of one model."""

    def __init__(self, model: str, opened: Callable[[], Detector], setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, opened, setting), daemon=True)
        self.model = model

    def __enter__(self) -> "_Side":
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()

    def run(self) -> float:
        self.pipe.send("run")
        return self.answer()

    def memory(self) -> float:
        self.pipe.send("memory")
        return self.answer()

    def answer(self) -> float:
        """Receives the next answer of the process; raises UserError with its message if it sends
        one.
        """
        while not self.pipe.poll(1.0):
            if not self.process.is_alive():
                raise UserError(f"{self.model}: its process has ended ({self.process.exitcode})")
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise UserError(answer)
        return answer


def _serve(pipe: Connection, opened: Callable[[], Detector], setting: Setting) -> None:
    """Sends 0 when the model is ready, then answers each request."""
    try:
        detector = opened()
        images = detector.image_format
        shape = (*setting.size, images.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8).astype(images.dtype)
        item = detector.read({"file_name": "noise", "image": pixels})
    except UserError as error:
        pipe.send(str(error))
        return
    batch = [item] * setting.batch
    for _ in range(_WARM_UP):
        detector.find(batch)
    pipe.send(0.0)
    while True:
        if pipe.recv() == "memory":
            pipe.send(_megabytes())
            continue
        # An untimed run first: caches belong to other models now, and memory may have been returned
        # to the system.
        detector.find(batch)
        start = time.perf_counter()
        detector.find(batch)
        pipe.send(time.perf_counter() - start)


def _megabytes() -> float:
    """The peak memory of this process in MiB. `ru_maxrss` is avoided if possible: on Linux it
    starts with the value of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if peak is not None:
            return int(peak[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
