"""Masks in pixels of the original image, created on demand."""

from collections.abc import Iterator
from typing import Any

import numpy as np


class NearestMasks:
    """Masks of N objects, upsampled from the model's resolution by nearest-neighbour interpolation.

    Args:
        small: bool [N, h, w].
        size: (H, W) of the original image.
    """

    def __init__(self, small: np.ndarray, size: tuple[int, int]) -> None:
        self.small = small
        self.size = size

    def __len__(self) -> int:
        return len(self.small)

    def __getitem__(self, chosen: Any) -> "NearestMasks":
        """The masks selected by a slice, indices or bool [N]."""
        return NearestMasks(self.small[chosen], self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Iterates over the masks, each bool [H, W]."""
        rows, columns = self._nearest()
        return (mask[rows][:, columns] for mask in self.small)

    def rles(self) -> list[dict]:
        """The run-length encoding {"size": [H, W], "counts": text} of each mask; needs
        pycocotools.
        """
        from hdetr_d2.pixels.run_lengths import run_lengths  # needed for masks only

        return [run_lengths(mask, *self._nearest()) for mask in self.small]

    def _nearest(self) -> tuple[np.ndarray, ...]:
        """The row (column) of the small mask that corresponds to each row (column) of the original
        image.
        """
        sides = zip(self.size, self.small.shape[1:], strict=True)
        return tuple(nearest(side, given) for side, given in sides)


def nearest(wanted: int, given: int) -> np.ndarray:
    """int64 [wanted]: for each index, the nearest of `given` pixels; computed in float32, like
    PyTorch.
    """
    places = np.arange(wanted, dtype=np.float32) * (np.float32(given) / np.float32(wanted))
    return np.minimum(places.astype(np.int64), given - 1)
