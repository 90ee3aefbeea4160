"""Forward and backward passes that are recorded once and then replayed, so that a GPU does not wait
for the host.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hdetr_d2.engine.gradients import Batch, Gradients, Outcome
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.staged import StagedBatch
from hdetr_d2.structures import Step, Targets
from hdetr_d2.utils.device import Constants
from hdetr_d2.utils.timing import section, untimed

logger = logging.getLogger(__name__)

WARM_UP = 3
"""Number of steps of a kind that run before it is recorded: they select algorithms and fill
caches.
"""
MOST = 16
"""Maximum number of recorded kinds of steps; each keeps its own results, including gradients."""
PATIENCE = 200
"""Number of unrecorded steps after which a warning says that no kind has been recorded."""
COUNTED = 4096
"""Number of kinds counted before the counts are reset: with varying sizes their number is
unbounded.
"""
LEAST_TARGETS = 8


class Record(Protocol):
    """Records what a function runs on the device. Recording need not perform the work: each call of
    the returned function performs it once, with the current values of the tensors, and writes the
    results into the tensors returned by `function`.
    """

    def __call__(self, function: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]: ...


class CudaGraphs:
    """Records each function as a CUDA graph. All graphs share one memory pool: they run one at a
    time, and results and intermediate values of one graph are not read after another has run.
    """

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, function: Callable[[], Outcome]) -> tuple[Callable[[], None], Outcome]:
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as the one that pins images, may keep running.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outcome = function()
        self._pool = graph.pool()
        return graph.replay, outcome


class GraphedGradients(Gradients):
    """Records steps of one kind, which differ only in the values of their tensors, at their fourth
    occurrence and replays them from then on. The kind of a step is the size of its padded images,
    the number of its targets rounded up to a power of two (to which targets are padded in all
    steps), and everything on the host that depends on the training progress.

    Gradients and metrics are valid until the next step, so a step has one micro-batch.
    """

    model: Any  # a `DETR`, whose forward consists of two parts

    def __init__(self, *, record: Record, **options: Any) -> None:
        """
        Args:
            record: records a function.
            options: arguments of `Gradients`.
        """
        super().__init__(**options)
        self.record = record
        self.graphs: dict[Hashable, Graph] = {}
        self.constants = Constants()
        self._seen: Counter[Hashable] = Counter()
        self._steps = 0  # unrecorded ones

    def __call__(self, batch: Batch, step: Step) -> Outcome:
        """
        Raises:
            UserError: the model needs values of this particular batch on the host, or cannot be
                recorded.
        """
        most = max((len(item["instances"]) for item in batch), default=0)
        with section("forward"):
            staged = _without_host(self.model.stage(batch, _rounded(most)))
        kind = _kind_of(staged, step, self.model.phase(step.progress))
        if (graph := self.graphs.get(kind)) is not None:
            return graph.repeat(staged, step)
        self._seen[kind] += 1
        if self._seen[kind] <= WARM_UP or len(self.graphs) == MOST:
            self._note_unrecorded()
            # The next step of this kind is recorded, and reuses the constants of this one.
            is_last = self._seen[kind] == WARM_UP and len(self.graphs) < MOST
            with self.constants if is_last else nullcontext():
                return self._compute(staged, step)
        graph = self.graphs[kind] = self._recorded(staged, step)
        shape, targets = staged.images.tensor.shape, staged.targets.labels.shape[1]
        logger.info(
            "Recorded a step with %d images of %dx%d and up to %d objects in each (%d of %d kinds)",
            *(shape[0], *shape[-2:], targets, len(self.graphs), MOST),
        )
        return graph.repeat(staged, step)

    def _compute(self, batch: StagedBatch, step: Step) -> Outcome:
        return self.of(lambda: self.model.losses(batch, step), step)

    def _recorded(self, staged: StagedBatch, step: Step) -> "Graph":
        held = Held.of(staged, step)
        self.constants.growing = False
        try:
            with self.constants, untimed():
                repeat, outcome = self.record(lambda: self._compute(held.batch, held.step))
        except RuntimeError as error:
            raise UserError(
                "a step of this model cannot be recorded as a CUDA graph "
                f"({str(error).splitlines()[0]}): set train.cuda_graphs=false"
            ) from error
        finally:
            self.constants.growing = True
        learned = [p for p in self.model.parameters() if p.grad is not None]
        return Graph(held, repeat, outcome, {p: p.grad for p in learned})

    def _note_unrecorded(self) -> None:
        self._steps += 1
        if len(self._seen) > COUNTED:
            self._seen.clear()
        if not self.graphs and self._steps == PATIENCE:
            logger.warning(
                "train.cuda_graphs: none of %d steps was recorded, since hardly any two are alike; "
                "images of one size would be",
                PATIENCE,
            )


@dataclass(frozen=True)
class Held:
    """The tensors that a recorded step reads; replays fill in new values."""

    batch: StagedBatch
    step: Step

    @classmethod
    def of(cls, batch: StagedBatch, step: Step) -> "Held":
        return cls(*_with_tensors(batch, step, [t.clone() for t in _tensors_of(batch, step)]))

    def take(self, batch: StagedBatch, step: Step) -> None:
        torch._foreach_copy_(_tensors_of(self.batch, self.step), _tensors_of(batch, step))


@dataclass(frozen=True)
class Graph:
    """A recorded step, with its gradients and results."""

    held: Held
    replay: Callable[[], None]
    outcome: Outcome
    gradients: dict[nn.Parameter, Tensor]

    def repeat(self, batch: StagedBatch, step: Step) -> Outcome:
        with section("graph"):
            self.held.take(batch, step)
            self.replay()
        for parameter, gradient in self.gradients.items():
            parameter.grad = gradient
        # These are read after later steps have run.
        observed = {name: value.clone() for name, value in self.outcome.observed.items()}
        return Outcome(self.outcome.metrics, observed)


class FromTheHost(Sequence):
    """Stands for values of a batch that exist only on the host and differ between batches.

    Raises:
        UserError: when it is used.
    """

    def __init__(self, what: str) -> None:
        self.what = what

    def __getitem__(self, index: Any) -> Any:
        self._refuse()

    def __len__(self) -> int:
        return self._refuse()

    def _refuse(self) -> Any:
        raise UserError(f"this model looks at {self.what} on the host: set train.cuda_graphs=false")


def _without_host(batch: StagedBatch) -> StagedBatch:
    frames = batch.images.frames
    fixed = all(frame == frames[0] for frame in frames)
    images = replace(
        batch.images,
        sizes=FromTheHost("the sizes of the images"),
        frames=frames if fixed else FromTheHost("the sizes of images, which differ in a batch,"),
    )
    return replace(batch, inputs=FromTheHost("the inputs as they were loaded"), images=images)


def _kind_of(batch: StagedBatch, step: Step, phase: Hashable) -> Hashable:
    frames = batch.images.frames
    frame = None if isinstance(frames, FromTheHost) else frames[0]
    shapes = tuple((tensor.shape, tensor.dtype) for tensor in _tensors_of(batch, step))
    return shapes, frame, step.share, phase


def _tensors_of(batch: StagedBatch, step: Step) -> list[Tensor]:
    images, targets = batch.images, batch.targets
    masks = [] if targets.masks is None else [targets.masks]
    given = [images.tensor, images.limits, targets.labels, targets.boxes, targets.valid]
    return [*given, *masks, step.ground_truths]


def _with_tensors(
    batch: StagedBatch, step: Step, tensors: Sequence[Tensor]
) -> tuple[StagedBatch, Step]:
    stacked, limits, *targets, ground_truths = tensors
    images = replace(batch.images, tensor=stacked, limits=limits)
    held = replace(batch, images=images, targets=Targets(*targets))
    return held, replace(step, ground_truths=ground_truths)


def _rounded(targets: int) -> int:
    return max(LEAST_TARGETS, 1 << (targets - 1).bit_length())
