"""Decides when an augmentation applies: in which part of the training, and with which
probability.
"""

import torch


class During:
    """Called with a position in the stream; draws whether the augmentation applies there.

    It depends on the position alone and has no state, so that a resumed run draws the same.
    """

    def __init__(
        self,
        *,
        p: float,
        start: float = 0.0,
        end: float,
        epochs: float = 1.0,
        max_iter: int,
        total_batch_size: int,
    ) -> None:
        """
        Args:
            p: probability between `start` and `end`; 0 elsewhere.
            start, end: in epochs out of `epochs`, counted from 0; with epochs=1 they are fractions
                of the training.
            max_iter: steps of the training.
            total_batch_size: images per step.

        Raises:
            ValueError: an interval or probability out of range.
        """
        if not 0 <= start < end <= epochs:
            raise ValueError(
                f"from start={start:g} to end={end:g} is no part of a training of epochs="
                f"{epochs:g}: set both to go with it, for example start={epochs / 12:.3g} "
                f"end={epochs / 2:.3g}"
            )
        if not 0 <= p <= 1:
            raise ValueError(f"p={p:g} is not a probability")
        self.p = p
        self.steps = range(round(start * max_iter / epochs), round(end * max_iter / epochs))
        self.total_batch_size = total_batch_size

    def __call__(self, position: int) -> bool:
        return position // self.total_batch_size in self.steps and float(torch.rand(())) < self.p
