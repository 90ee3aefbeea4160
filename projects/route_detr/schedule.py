"""A number that increases along a cosine during training, in epochs as in the paper."""

import math

from hdetr_d2.schemes import CosineRamp


class CosineWarmup:
    """`first` until epoch `after`, then half a cosine wave over `over` epochs to `last`, which it
    keeps.

    Args:
        first, last: values at both ends; equal values make it a constant.
        after, over: in epochs.
        epochs: of the whole training.
        once_an_epoch: change only at the beginning of an epoch.

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
        """The value at training progress `done`, in [0, 1]."""
        epoch = done * self.epochs
        if self.once_an_epoch:
            epoch = math.floor(epoch + 1e-6)  # a third times 12 may be 3.999...
        return self.ramp(epoch)
