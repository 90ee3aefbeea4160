"""Images of rare classes several times an epoch: https://arxiv.org/abs/1908.03195, appendix B."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


def repeat_factors(dicts: Sequence[dict], threshold: float | None) -> np.ndarray:
    """How often each image comes in an epoch, on average.

    A class in a share f of all images has the factor max(1, sqrt(threshold / f)), and an image the
    largest of its classes'; without objects, or where the threshold is None, it is 1.

    Args:
        dicts: Detectron2's entries; crowds are no objects.
        threshold: share of the images below which a class is rare.

    Returns:
        float64 [n].
    """
    if threshold is None:
        return np.ones(len(dicts))
    classes = [
        {a["category_id"] for a in entry.get("annotations", []) if not a.get("iscrowd", 0)}
        for entry in dicts
    ]
    images = Counter(label for each in classes for label in each)
    factors = {
        label: max(1.0, math.sqrt(threshold * len(dicts) / count))
        for label, count in images.items()
    }
    return np.array([max((factors[label] for label in each), default=1.0) for each in classes])


def epoch_size(factors: np.ndarray) -> int:
    """Images of one epoch, the same for all epochs."""
    return math.floor(math.fsum(factors))


def drawn_images(factors: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Indices of the images of one epoch, in their order: each as often as its factor says, rounded
    up or down by chance, all of them together by one number, so that their sum is that of the
    factors, rounded likewise. Where there is nothing to round, nothing is drawn.
    """
    counts = np.floor(factors)
    rest = factors - counts
    if rest.any():
        # A comb with teeth at a distance of 1 lies over the rests, one behind the other: its place
        # is drawn, and an image with a tooth is rounded up. In an order of their own, so that
        # neighbours in the data set do not take turns.
        order = random.permutation(len(rest))
        behind = np.floor(np.cumsum(rest[order]) + random.random())
        counts[order] += np.diff(behind, prepend=0)
    return np.repeat(np.arange(len(factors)), counts.astype(np.int64))
