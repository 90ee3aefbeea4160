"""A number that changes while a training goes on."""

import math


class CosineRamp:
    """`first` until the part `start` of a training is done, then along half a cosine wave to
    `last`, where it stays from `end` on.

    Args:
        first, last: the values at both ends; equal ones make it a constant.
        start, end: parts of the training, in [0, 1], or in whatever it is called with; equal ones
            make it a jump.

    Raises:
        ValueError: an end before the start, or a start before the training.
    """

    def __init__(self, *, first: float, last: float, start: float = 0.0, end: float = 1.0) -> None:
        if not 0 <= start <= end:
            raise ValueError(f"start={start} and end={end} must be 0 <= start <= end.")
        self.first = first
        self.last = last
        self.start = start
        self.end = end

    def __call__(self, done: float) -> float:
        """The value when so much of the training is done."""
        over = self.end - self.start
        part = (done - self.start) / over if over else float(done >= self.start)
        wave = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, part)))
        return self.first + (self.last - self.first) * wave
