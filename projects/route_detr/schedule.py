"""A number that rises along a cosine while a training goes on, as the paper counts: in epochs."""

import math

from hdetr_d2.schemes import CosineRamp


class CosineWarmup:
    """`first` until `after` is done, then half a cosine wave long `over` to `last`, where it stays.

    Args:
        first, last: the values at both ends; equal ones make it a constant.
        after, over: in epochs.
        epochs: of the whole training.
        once_an_epoch: it changes where an epoch begins and nowhere else.

    Raises:
        ValueError: a negative length, or a training without epochs.
    """

    def __init__(
        self,
        *,
        first: float,
        last: float,
        after: float,
        over: float,
        epochs: float,
        once_an_epoch: bool = False,
    ) -> None:
        if min(after, over) < 0 or epochs <= 0:
            raise ValueError(
                f"after={after} and over={over} must be at least 0, and epochs={epochs} more."
            )
        self.ramp = CosineRamp(first=first, last=last, start=after, end=after + over)
        self.epochs = epochs
        self.once_an_epoch = once_an_epoch

    def __call__(self, done: float) -> float:
        """The value when the part `done` of the training, in [0, 1], is done."""
        epoch = done * self.epochs
        if self.once_an_epoch:
            epoch = math.floor(epoch + 1e-6)  # the product of a third and 12 may be 3.999...
        return self.ramp(epoch)
