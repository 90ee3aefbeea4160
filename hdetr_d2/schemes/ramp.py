"""A number that changes during training."""

import math


class CosineRamp:
    """`first` up to `start`, then half a cosine wave to `last`, which it keeps from `end` on.

    Args:
        first, last: values at both ends; equal values make it a constant.
        start, end: training progress in [0, 1], or in the units it is called with; equal values
            make it a step.

    Raises:
        ValueError: the end lies before the start, or the start before 0.
    """

    def __init__(self, *, first: float, last: float, start: float = 0.0, end: float = 1.0) -> None:
        if not 0 <= start <= end:
            raise ValueError(f"start={start} and end={end} must be 0 <= start <= end.")
        self.first = first
        self.last = last
        self.start = start
        self.end = end

    def __call__(self, done: float) -> float:
        """The value at this progress."""
        over = self.end - self.start
        part = (done - self.start) / over if over else float(done >= self.start)
        wave = 0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, part)))
        return self.first + (self.last - self.first) * wave
