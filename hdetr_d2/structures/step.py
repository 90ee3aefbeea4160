"""An optimizer step, as seen by the code that computes a part of it."""

from dataclasses import dataclass

from torch import Tensor

from hdetr_d2.structures.targets import Targets
from hdetr_d2.utils.distributed import mean_over_processes


@dataclass(frozen=True)
class Step:
    """An optimizer step, and the part of it being computed.

    ground_truths: number of targets in all images of the step, averaged over processes; 0-d float.
    share: the current images as a fraction of this process's images of the step. progress: training
    progress, in [0, 1].
    """

    ground_truths: Tensor
    share: float = 1.0
    progress: float = 0.0

    @classmethod
    def of(cls, targets: Targets) -> "Step":
        """The first step of a training, consisting of the images of `targets` in this process."""
        return cls(mean_over_processes(targets.counts.sum().float()))
