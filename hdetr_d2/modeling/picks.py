"""Selects the pairs of query and class that become detections."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from torch import Tensor


class Picked(NamedTuple):
    """Scores, labels and queries of the N detections of an image: `Tensor[B, N]` each. Rows with
    the score -inf are not detections.
    """

    scores: Tensor
    labels: Tensor
    queries: Tensor


Pick: TypeAlias = Callable[[Tensor, Tensor, int], Picked]
"""Called with scores `Tensor[B, Q, K]`, boxes `Tensor[B, Q, 4]` cxcywh in [0, 1], and the maximum
number of detections per image.
"""


class BestPairs:
    """The best pairs of query and class, best first; a query may appear with several classes
    (Deformable-DETR).
    """

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """All pairs if there are fewer than `num_select`."""
        num_classes = scores.shape[-1]
        flat = scores.flatten(1)
        best, index = flat.topk(min(num_select, flat.shape[1]), dim=1)
        return Picked(best, index % num_classes, index // num_classes)


class BestClasses:
    """The best class of every query, in query order (DETR, https://arxiv.org/abs/2005.12872)."""

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """With more queries than `num_select`, only the best of them."""
        best, labels = scores.max(-1)
        queries = best.topk(min(num_select, best.shape[1]), dim=1).indices.sort(dim=1).values
        return Picked(best.gather(1, queries), labels.gather(1, queries), queries)
