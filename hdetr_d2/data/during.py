"""When something happens to an image: in which part of the training, and how often there."""

import torch


class During:
    """Called with a place in the stream, draws whether it happens there.

    It knows the place alone and has no state, so that a resumed run draws the same.
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
            p: how often, from `start` to `end`; never before or behind.
            start, end: in epochs on the way to `epochs`, the first of them is 0; with epochs=1 they
                are parts of the training.
            max_iter: steps of the training.
            total_batch_size: images of a step.

        Raises:
            ValueError: there is no such part of the training, or no such probability.
        """
        if not 0 <= start < end <= epochs:
            raise ValueError(
                f"from start={start:g} to end={end:g} is no part of a training of epochs="
                f"{epochs:g}: set both to go with it, for example start={epochs / 12:.3g} "
                f"end={epochs / 2:.3g}"
            )
        if not 0 <= p <= 1:
            raise ValueError(f"p={p:g} is no probability")
        self.p = p
        self.steps = range(round(start * max_iter / epochs), round(end * max_iter / epochs))
        self.total_batch_size = total_batch_size

    def __call__(self, position: int) -> bool:
        return position // self.total_batch_size in self.steps and float(torch.rand(())) < self.p
