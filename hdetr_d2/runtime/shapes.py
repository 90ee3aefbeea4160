"""The objects of one image, for results and drawings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Masks(Protocol):
    """Masks of N objects, each bool [H, W]: an array, a tensor, or an object that creates them on
    demand.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, item: Any) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Shapes:
    """The objects of one image, in its pixels. CPU tensors can be used instead of arrays.

    Attributes:
        boxes: float [N, 4], xyxy.
        classes: int [N], class indices.
        scores: float [N] in [0, 1], or None for ground truth.
        masks: bool [N, H, W], or None.
        tracks: int [N], for videos: ids of objects across frames, -1 for objects (so far) without a
            track; or None.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    masks: Masks | None = None
    tracks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def above(self, threshold: float) -> "Shapes":
        """The objects with a score of at least `threshold`; all objects if there are no scores."""
        if self.scores is None:
            return self
        return self.chosen(self.scores >= threshold)

    def chosen(self, keep: np.ndarray) -> "Shapes":
        """The objects selected by bool [N]."""
        scores = None if self.scores is None else self.scores[keep]
        masks = None if self.masks is None else self.masks[keep]
        tracks = None if self.tracks is None else self.tracks[keep]
        return Shapes(self.boxes[keep], self.classes[keep], scores, masks, tracks)
