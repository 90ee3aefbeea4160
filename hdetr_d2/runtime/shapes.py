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
        tracks: int [N], of a video: which objects of its frames are one, -1 of those that no other
            frame has (yet); or None.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    masks: Masks | None = None
    tracks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float) -> "Shapes":
        """Those with a score of at least `threshold`; all of them when there are no scores."""
        if self.scores is None:
            return self
        return self.chosen(self.scores >= threshold)

    def chosen(self, keep: np.ndarray) -> "Shapes":
        """Those that bool [N] choose."""
        scores = None if self.scores is None else self.scores[keep]
        masks = None if self.masks is None else self.masks[keep]
        tracks = None if self.tracks is None else self.tracks[keep]
        return Shapes(self.boxes[keep], self.classes[keep], scores, masks, tracks)
