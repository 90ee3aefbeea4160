"""How well a score map separates objects from background: the IoF-IoB curve (Co-DETR,
https://arxiv.org/abs/2211.12860, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# The first is below every score. The others are dense at both ends: most cells get almost no
# attention, and after a layer norm the features of all cells have nearly the same norm.
THRESHOLDS = (-1.0, 0.0, *torch.linspace(-14, 14, 400, dtype=torch.float64).sigmoid().tolist(), 1.0)


@dataclass(frozen=True)
class Overlap:
    """Values for increasing thresholds, `Tensor[T]` float64 each.

    iof: the fraction of the objects' area with scores above the threshold. iob: the fraction of the
    background with scores not above it.
    """

    iof: Tensor
    iob: Tensor

    @classmethod
    def mean(cls, overlaps: "Sequence[Overlap]") -> "Overlap":
        """The mean of at least one curve, for each threshold."""
        iof, iob = (torch.stack(rows).mean(0) for rows in zip(*map(_rows, overlaps), strict=True))
        return cls(iof, iob)

    @property
    def area(self) -> float:
        """The area under IoF as a function of IoB: 1 if all objects stand out, 0.5 if the map is
        uninformative.
        """
        return float(torch.trapezoid(self.iof, self.iob))

    def iof_at(self, iob: float) -> float:
        """IoF where IoB is `iob`, interpolated between the two nearest thresholds."""
        last = int((self.iob >= iob).nonzero()[0])
        first = max(last - 1, 0)
        step = self.iob[last] - self.iob[first]
        part = (iob - self.iob[first]) / step if step > 0 else 0.0
        return float(self.iof[first] + part * (self.iof[last] - self.iof[first]))


def overlap(
    scores: Tensor, foreground: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> Overlap | None:
    """The curve of one image; None if it has no objects, or no background.

    Args:
        scores: `Tensor[H, W]` in [0, 1].
        foreground: `Tensor[H, W]` bool, True inside objects.
        thresholds: increasing.
    """
    # The number of thresholds below each score, which are exactly those that it exceeds.
    edges = torch.tensor(thresholds, dtype=torch.float64, device=scores.device)
    below = torch.bucketize(scores.double(), edges)
    inside, outside = below[foreground], below[~foreground]
    if not len(inside) or not len(outside):
        return None
    return Overlap(1 - _not_higher(inside, len(edges)), _not_higher(outside, len(edges)))


def _not_higher(below: Tensor, thresholds: int) -> Tensor:
    """For each threshold, the fraction of the pixels (at least one) whose score does not exceed
    it.
    """
    counts = torch.bincount(below, minlength=thresholds + 1)[:thresholds]
    return (counts.cumsum(0).double() / len(below)).cpu()


def _rows(overlap: Overlap) -> tuple[Tensor, Tensor]:
    return overlap.iof, overlap.iob


def foreground_of(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image of `size` (H, W) have their centre inside any of the boxes
    `Tensor[G, 4]`, xyxy in pixels: `Tensor[H, W]` bool.
    """
    height, width = size
    x0, y0, x1, y1 = boxes.float()[:, None].unbind(-1)
    y = torch.arange(height, device=boxes.device) + 0.5
    x = torch.arange(width, device=boxes.device) + 0.5
    rows, columns = (y > y0) & (y < y1), (x > x0) & (x < x1)  # [G, H], [G, W]
    return rows.T.float() @ columns.float() > 0
