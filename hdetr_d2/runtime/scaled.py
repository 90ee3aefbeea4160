"""Masks in pixels of the original image, created on demand."""

from collections.abc import Iterator
from typing import Any

import numpy as np


class NearestMasks:
    """Masks of N objects, by nearest-neighbour interpolation of the model's resolution.

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
        """Those selected by a slice, indices or bool [N]."""
        return NearestMasks(self.small[chosen], self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Each as bool [H, W]."""
        rows, columns = self._nearest()
        return (mask[rows][:, columns] for mask in self.small)

    def rles(self) -> list[dict]:
        """{"size": [H, W], "counts": text} of each; needs pycocotools."""
        from hdetr_d2.pixels.run_lengths import run_lengths  # needed for masks only

        return [run_lengths(mask, *self._nearest()) for mask in self.small]

    def _nearest(self) -> tuple[np.ndarray, ...]:
        """For each row, and each column, of the original image, the corresponding one of the small
        mask.
        """
        sides = zip(self.size, self.small.shape[1:], strict=True)
        return tuple(nearest(side, given) for side, given in sides)


def nearest(wanted: int, given: int) -> np.ndarray:
    """int64 [wanted], the index among `given` pixels for each; in float32, like PyTorch."""
    places = np.arange(wanted, dtype=np.float32) * (np.float32(given) / np.float32(wanted))
    return np.minimum(places.astype(np.int64), given - 1)
