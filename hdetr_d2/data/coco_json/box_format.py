"""Guesses the format of a data set's boxes from statistics, since no single box proves it.

Valid data always pass, whatever they show, because each criterion relies on what valid data do not
do:

- Corners read as x, y, width, height: width > x and height > y for all boxes. For valid boxes this
  holds only near the upper left corner, or if they fill the image, and then they do not leave it.
- Centres: boxes leave on the right and at the bottom, and none lies so close to the left or the top
  that its other half would leave there. Valid objects, including truncated ones, lie near all edges
  alike.
- Fractions: boxes end in the first pixel of their images, more often than small images explain.
- Percent: boxes leave images smaller than 100 pixels, or fill exactly the first 100 pixels of
  larger ones, where by chance all boxes would lie in one of 10,000 data sets.
"""

import numpy as np

# A box crosses an edge if it exceeds it by more than rounding: over a pixel, and over this fraction
# of the box's side.
SLACK = 0.1
# Fraction of outliers allowed in a data set of another format.
ODD = 0.1
# Valid boxes of few data sets cross edges more often. Of corners about half do, wherever they are.
MANY = 0.25
# This many centre-format boxes crossing one side, with none missing on the other, are no
# coincidence.
ENOUGH = 4
# No valid data set has more than this fraction of boxes lying more than half outside.
OUTSIDE = 0.1
CHANCE = 1e-4
# Images with so few pixels per side contain one-pixel objects, which look like fractions.
TINY = 8


def guess_box_format(boxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """The other format that the boxes of a data set seem to have; None if COCO's is plausible.

    Args:
        boxes: [N, 4] finite numbers as they are in the json.
        sizes: [N, 2] width and height of each box's image.
    """
    guesses = (
        (_are_fractions, "fractions of the image size"),
        (_are_percent, "percent of the image size"),
        (_are_corners, "corners (x1, y1, x2, y2)"),
        (_are_centres, "centre, width, height"),
    )
    if len(boxes) == 0:
        return None
    return next((text for fits, text in guesses if fits(boxes, sizes)), None)


def mostly_outside(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """bool [N]: over half of the box lies outside of its image, by more than a pixel.

    Args:
        boxes: [N, 4] x, y, width, height.
        sizes: [N, 2] width and height of each box's image.
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    inside = (high.clip(-1, sizes + 1) - low.clip(-1, sizes + 1)).clip(0).prod(1)
    return (boxes[:, 2:] > 0).all(1) & (inside < boxes[:, 2:].prod(1) / 2)


def _passes(end: np.ndarray, edge: np.ndarray, sides: np.ndarray) -> np.ndarray:
    return end - edge > np.maximum(1, SLACK * sides)


def _leave(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """bool [N, 2]: the box read in COCO's format clearly crosses the right, or the lower, edge."""
    return _passes(boxes[:, :2] + boxes[:, 2:], sizes, boxes[:, 2:])


def _are_corners(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    first, second = boxes[:, :2], boxes[:, 2:]
    ordered = (second > first) & (first >= -1) & ~_passes(second, sizes, second - first)
    many = _leave(boxes, sizes).any(1).mean() > MANY
    return bool(many and ordered.all(1).mean() >= 1 - ODD)


def _are_centres(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    fits = ~_passes(centre + half, sizes, 2 * half) & ~_passes(half, centre, 2 * half)
    leave = _leave(boxes, sizes)
    count = leave.any(1).sum()
    if not leave.any(0).all() or (count <= MANY * len(boxes) and count < ENOUGH):
        return False
    # If boxes are small, few cross edges, and as many must then be missing on the other side.
    near = (centre < 0.8 * half).any(1).sum()
    return bool(near <= 1 + ODD * count and fits.all(1).mean() >= 1 - ODD)


def _are_fractions(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    end = 1 + SLACK
    small = ((boxes >= -SLACK) & (boxes <= end)).all(1) & (boxes[:, 2:] > 0).all(1)
    small &= (sizes > TINY).all(1)
    chance = _chance(sizes, end + 1)  # small objects have integer coordinates
    share = small.mean()
    return share > ODD + (1 - ODD) * chance**0.5 and chance ** small.sum() < CHANCE


def _are_percent(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    end = 102  # slightly more than 100, for rounding and outliers
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    within = ((low >= -2) & (high <= end) & (boxes[:, 2:] > 0)).all(1)
    if within.mean() < 1 - ODD:
        return False
    # They use the whole range, on both axes, unlike a cluster of labels in a corner.
    spread = np.percentile(high[within], 98, axis=0) - np.percentile(low[within], 2, axis=0)
    if (spread < 75).any():
        return False
    leave, chance = _leave(boxes, sizes).any(1).mean(), _chance(sizes, end)
    # In images little larger than 100 pixels all boxes may well lie there.
    return bool(leave > MANY or (chance < 0.7 and chance ** within.sum() < CHANCE))


def _chance(sizes: np.ndarray, end: float) -> float:
    """The probability that a randomly placed box lies in the first `end` pixels of both axes."""
    return float(np.minimum(1, end / sizes).prod(1).mean())
