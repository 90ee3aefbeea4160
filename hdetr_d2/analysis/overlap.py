"""How well a score map tells objects from background: the IoF-IoB curve (Co-DETR,
https://arxiv.org/abs/2211.12860, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The first is below every score. The others are dense at both ends: most cells get next to no
# attention, and behind a layer norm features of all cells are of nearly the same length.
THRESHOLDS = (-1.0, 0.0, *torch.linspace(-14, 14, 400, dtype=torch.float64).sigmoid().tolist(), 1.0)


@dataclass(frozen=True)
class Overlap:
    """By threshold, from the lowest to the highest, `Tensor[T]` float64 each.

    iof: the part of the objects' area whose scores are higher than the threshold. iob: the part of
    the background whose scores are not.
    """

    iof: Tensor
    iob: Tensor

    @classmethod
    def mean(cls, overlaps: "Sequence[Overlap]") -> "Overlap":
        """Threshold by threshold; at least one."""
        iof, iob = (torch.stack(rows).mean(0) for rows in zip(*map(_rows, overlaps), strict=True))
        return cls(iof, iob)

    @property
    def area(self) -> float:
        """That under IoF over IoB: 1 if all objects stand out, 0.5 if the map knows nothing."""
        return float(torch.trapezoid(self.iof, self.iob))

    def iof_at(self, iob: float) -> float:
        """IoF where IoB is `iob`, between the two nearest thresholds."""
        last = int((self.iob >= iob).nonzero()[0])
        first = max(last - 1, 0)
        step = self.iob[last] - self.iob[first]
        part = (iob - self.iob[first]) / step if step > 0 else 0.0
        return float(self.iof[first] + part * (self.iof[last] - self.iof[first]))


def overlap(
    scores: Tensor, foreground: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> Overlap | None:
    """The curve of one image; None where there are no objects, or where there is nothing else.

    Args:
        scores: `Tensor[H, W]` in [0, 1].
        foreground: `Tensor[H, W]` bool, True inside objects.
        thresholds: rising.
    """
    # How many thresholds are below each score: it is higher than these and no others.
    edges = torch.tensor(thresholds, dtype=torch.float64, device=scores.device)
    below = torch.bucketize(scores.double(), edges)
    inside, outside = below[foreground], below[~foreground]
    if not len(inside) or not len(outside):
        return None
    return Overlap(1 - _not_higher(inside, len(edges)), _not_higher(outside, len(edges)))


def _not_higher(below: Tensor, thresholds: int) -> Tensor:
    """By threshold the part of the pixels, at least one, whose score is not higher."""
    counts = torch.bincount(below, minlength=thresholds + 1)[:thresholds]
    return (counts.cumsum(0).double() / len(below)).cpu()


def _rows(overlap: Overlap) -> tuple[Tensor, Tensor]:
    return overlap.iof, overlap.iob


def foreground_of(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels of an image of `size` (H, W) whose centres are in one of the boxes `Tensor[G, 4]`,
    xyxy in pixels: `Tensor[H, W]` bool.
    """
    height, width = size
    x0, y0, x1, y1 = boxes.float()[:, None].unbind(-1)
    y = torch.arange(height, device=boxes.device) + 0.5
    x = torch.arange(width, device=boxes.device) + 0.5
    rows, columns = (y > y0) & (y < y1), (x > x0) & (x < x1)  # [G, H], [G, W]
    return rows.T.float() @ columns.float() > 0
