"""The objects of one image, as what was found and what is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Masks(Protocol):
    """Of N objects, each bool [H, W]: an array, a tensor, or what makes them when they are asked
    for.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, item: Any) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Shapes:
    """The objects of one image, in its pixels. Tensors on the CPU do as well as arrays.

    Attributes:
        boxes: float [N, 4], xyxy.
        classes: int [N], indices of class names.
        scores: float [N] in [0, 1], or None for ground truth.
        masks: bool [N, H, W], or None.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    masks: Masks | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float) -> "Shapes":
        """Those with a score of at least `threshold`; all of them when there are no scores."""
        if self.scores is None:
            return self
        keep = self.scores >= threshold
        masks = None if self.masks is None else self.masks[keep]
        return Shapes(self.boxes[keep], self.classes[keep], self.scores[keep], masks)
