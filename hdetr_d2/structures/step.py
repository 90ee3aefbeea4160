"""What an optimizer step is, seen from a part of it."""

from dataclasses import dataclass

from torch import Tensor

from hdetr_d2.structures.targets import Targets
from hdetr_d2.utils.distributed import mean_over_processes


@dataclass(frozen=True)
class Step:
    """An optimizer step, and which part of it is at hand.

    ground_truths: of all images of the step, averaged over processes; 0-d float. share: the part
    that the images at hand have in those of the step in this process. progress: the part of the
    training that is done, in [0, 1].
    """

    ground_truths: Tensor
    share: float = 1.0
    progress: float = 0.0

    @classmethod
    def of(cls, targets: Targets) -> "Step":
        """The first one of a training, with the images of `targets` and no others in this
        process.
        """
        return cls(mean_over_processes(targets.counts.sum().float()))
