"""Learning-rate multipliers with milestones in epochs."""

import math
from abc import abstractmethod
from collections.abc import Sequence

from fvcore.common.param_scheduler import ParamScheduler

from hdetr_d2.errors import UserError


class EpochSchedule(ParamScheduler):
    """A multiplier of the base learning rate as a function of the epoch, with a linear warm-up.

    Called with `where`, the training progress in [0, 1]: iteration / max_iter. It is stateless, so
    a resumed run cannot deviate from an uninterrupted one.
    """

    def __init__(self, *, epochs: float, warmup_epochs: float = 0.0) -> None:
        if not 0 <= warmup_epochs < epochs:
            raise UserError(
                f"lr_multiplier.warmup_epochs={warmup_epochs} must be less than the {epochs} epochs"
            )
        self.epochs = epochs
        self.warmup_epochs = warmup_epochs

    def __call__(self, where: float) -> float:
        # Because of rounding, iteration / max_iter * epochs may be slightly less than a whole
        # epoch.
        epoch = (where + self.WHERE_EPSILON) * self.epochs
        warmup = min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0
        return warmup * self.decay(epoch)

    @abstractmethod
    def decay(self, epoch: float) -> float:
        """The multiplier at `epoch` in [0, epochs], without the warm-up."""


class StepDecay(EpochSchedule):
    """Multiplies the rate by `factor` at each of `milestones` (in epochs)."""

    def __init__(
        self,
        *,
        epochs: float,
        milestones: Sequence[float],
        factor: float = 0.1,
        warmup_epochs: float = 0.0,
    ) -> None:
        super().__init__(epochs=epochs, warmup_epochs=warmup_epochs)
        self.milestones = tuple(milestones)
        self.factor = factor
        late = [milestone for milestone in self.milestones if not 0 < milestone < epochs]
        if late:
            raise UserError(
                f"lr_multiplier.milestones={list(self.milestones)}: {late[0]} does not lie between "
                f"0 and train.epochs={epochs}; set both, for example "
                f"train.epochs={epochs} lr_multiplier.milestones=[{epochs * 5 / 6:.3g}]"
            )

    def decay(self, epoch: float) -> float:
        return self.factor ** sum(epoch >= milestone for milestone in self.milestones)


class CosineDecay(EpochSchedule):
    """Decreases the multiplier from 1 to `final` along half a cosine over the whole training."""

    def __init__(self, *, epochs: float, final: float = 0.0, warmup_epochs: float = 0.0) -> None:
        super().__init__(epochs=epochs, warmup_epochs=warmup_epochs)
        self.final = final

    def decay(self, epoch: float) -> float:
        done = min(1.0, epoch / self.epochs)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))
