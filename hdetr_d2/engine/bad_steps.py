"""Non-finite steps: each one is reported, and too many of them end the training."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from detectron2.utils import comm
from torch import Tensor

from hdetr_d2.engine import bad_costs
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

SCALE = "loss_scale"
"""Name of the loss scale among the metrics of a step; if missing, the scale is 1."""


@dataclass(frozen=True)
class StepRecord:
    """What a step stores to be read later: reading it immediately would make the host wait for the
    device.

    names, values: its metrics, `Tensor[len(names)]` float32. image_ids, observed: for each
    micro-batch of this process. batches: the micro-batches themselves, if they are to be written to
    files.
    """

    iteration: int
    names: list[str]
    values: Tensor
    image_ids: list[list[Any]]
    observed: list[bad_costs.Observed]
    batches: list[list[dict]]


Keep: TypeAlias = Callable[[StepRecord, Mapping[str, float]], object]


class BadSteps:
    """Checks every step, in all processes together, and counts consecutive bad ones.

    Args:
        most: number of consecutive bad steps after which the training ends.
        keep: called with each bad step and its metrics, in all processes.
    """

    def __init__(self, most: int, keep: Keep = lambda record, metrics: None) -> None:
        self.most = most
        self.keep = keep
        self._in_a_row = 0

    def is_good(self, record: StepRecord, metrics: Mapping[str, float]) -> bool:
        """Whether loss, gradient and matching costs were finite; warns if not. If only the gradient
        is not finite, the loss scale may have made it overflow 16 bits: as long as the scale, which
        is now reduced, is above 1, the step counts as good.

        Args:
            record: the record of this process.
            metrics: the same in all processes, so that all take the same branch.

        Raises:
            UserError: too many consecutive bad steps.
        """
        costs = any(metrics[name] for name in bad_costs.METRICS)
        if math.isfinite(metrics["total_loss"]) and not costs:
            if math.isfinite(metrics["grad_norm"]):
                self._in_a_row = 0
                return True
            if (scale := metrics.get(SCALE, 1.0)) > 1:
                logger.info("Iteration %d: the loss scale %g is lowered", record.iteration, scale)
                return True
        self._in_a_row += 1
        self.keep(record, metrics)
        what = _what_is_wrong(record, metrics)
        if self._in_a_row >= self.most:
            raise UserError(
                f"{self._in_a_row} steps in a row were not finite, the last at iteration "
                f"{record.iteration} {what}: lower optimizer.lr, or train without amp"
            )
        logger.warning(
            "Iteration %d is not finite, its update is skipped %s", record.iteration, what
        )
        return False


def _what_is_wrong(record: StepRecord, metrics: Mapping[str, float]) -> str:
    """Describes the metrics, costs, processes and images involved. All processes must call this
    together.
    """
    wrong = [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]
    pairs = zip(record.observed, record.image_ids, strict=True)
    places = [place for pair in pairs for place in bad_costs.find(*pair)]
    mine = dict(zip(record.names, record.values.tolist(), strict=True))
    is_here = bool(places) or not math.isfinite(mine["total_loss"])
    everyone = comm.all_gather((is_here, places, list(chain(*record.image_ids))))
    ranks = [rank for rank, (is_there, *_) in enumerate(everyone) if is_there]
    # If only the gradient is bad, all processes are involved.
    images = list(chain(*(everyone[rank][2] for rank in ranks or range(len(everyone)))))
    if places := list(chain(*(places for _, places, _ in everyone))):
        wrong.append(f"matching costs: {bad_costs.in_words(places)}")
        images = list(dict.fromkeys(image for *_, image in places))
    return f"({', '.join(wrong)}){_in_processes(ranks, len(everyone))} on the images {images}"


def _in_processes(ranks: Sequence[int], count: int) -> str:
    if count == 1 or not ranks:
        return ""
    return f" in process{'es' * (len(ranks) > 1)} {', '.join(map(str, ranks))} of {count}"
