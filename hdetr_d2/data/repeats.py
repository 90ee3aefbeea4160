"""Repeat factor sampling for rare classes: https://arxiv.org/abs/1908.03195, appendix B."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


def repeat_factors(dicts: Sequence[dict], threshold: float | None) -> np.ndarray:
    """The mean number of repetitions of each image per epoch.

    A class in a fraction f of all images has the factor max(1, sqrt(threshold / f)), and an image
    the largest factor of its classes; images without objects have 1, and so have all if the
    threshold is None.

    Args:
        dicts: Detectron2's entries; crowds do not count as objects.
        threshold: a class in a smaller fraction of the images is rare.

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
    """Images per epoch, the same in all epochs."""
    return math.floor(math.fsum(factors))


def drawn_images(factors: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Indices of the images of one epoch, in order. Factors are rounded up or down at random, using
    a single random number, so that their sum is the rounded sum of the factors. If there is nothing
    to round, nothing is drawn.
    """
    counts = np.floor(factors)
    rest = factors - counts
    if rest.any():
        # Systematic sampling: a comb with unit spacing and a random offset is laid over the
        # concatenated fractional parts, and images hit by a tooth are rounded up. The images are
        # shuffled first, so that neighbours in the data set do not alternate.
        order = random.permutation(len(rest))
        behind = np.floor(np.cumsum(rest[order]) + random.random())
        counts[order] += np.diff(behind, prepend=0)
    return np.repeat(np.arange(len(factors)), counts.astype(np.int64))
