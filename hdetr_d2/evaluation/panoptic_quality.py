"""Panoptic quality (https://arxiv.org/abs/1801.00868), accumulated image by image."""

from collections.abc import Mapping, Sequence

import numpy as np

VOID = 0
"""The id of pixels without a segment."""

IOU, FOUND, WRONG, MISSED = range(4)
"""Columns of the counts of each class: summed IoU of the matched segments; number of matched
segments; predictions without a true segment; true segments that were not found.
"""


def count_segments(
    truth: np.ndarray,
    true_segments: Sequence[Mapping],
    predicted: np.ndarray,
    predicted_segments: Sequence[Mapping],
    num_classes: int,
) -> np.ndarray:
    """The contribution of one image to the counts, float [K, 4].

    A prediction matches a true segment of its class if their IoU exceeds 1/2, so that there is at
    most one. Predictions that lie mostly on void or on a crowd of their class do not count.

    Args:
        truth, predicted: segment ids, int [H, W].
        true_segments, predicted_segments: dicts with `id` and `category_id`; true ones may have
            `iscrowd`.
    """
    counts = np.zeros((num_classes, 4))
    shared = _shared_pixels(truth, predicted)
    areas = [_areas(image) for image in (truth, predicted)]
    unfound = {s["id"]: s for s in true_segments if not s.get("iscrowd", 0)}
    crowds = [s for s in true_segments if s.get("iscrowd", 0)]
    for segment in predicted_segments:
        label, own = segment["category_id"], segment["id"]
        area = areas[1].get(own, 0) - shared.get((VOID, own), 0)
        for other, true in list(unfound.items()):
            common = shared.get((other, own), 0)
            union = area + areas[0].get(other, 0) - common
            if true["category_id"] == label and 2 * common > union:
                counts[label, [IOU, FOUND]] += common / union, 1
                del unfound[other]
                break
        else:
            ignored = [VOID, *(crowd["id"] for crowd in crowds if crowd["category_id"] == label)]
            pixels = sum(shared.get((other, own), 0) for other in ignored)
            counts[label, WRONG] += 2 * pixels <= areas[1].get(own, 0)
    for true in unfound.values():
        counts[true["category_id"], MISSED] += 1
    return counts


def qualities(counts: np.ndarray) -> dict[str, float]:
    """Panoptic, segmentation and recognition quality in percent, averaged over the classes that
    exist or were predicted; nan if there are none.

    Args:
        counts: float [K, 4], summed over images.
    """
    counts = counts[counts[:, FOUND:].any(1)]
    if not len(counts):
        return dict.fromkeys(("PQ", "SQ", "RQ"), float("nan"))
    halves = counts[:, FOUND] + (counts[:, WRONG] + counts[:, MISSED]) / 2
    per_class = {
        "PQ": counts[:, IOU] / halves,
        "SQ": counts[:, IOU] / counts[:, FOUND].clip(min=1),
        "RQ": counts[:, FOUND] / halves,
    }
    return {name: float(values.mean() * 100) for name, values in per_class.items()}


def _areas(ids: np.ndarray) -> dict[int, int]:
    return dict(
        zip(*(column.tolist() for column in np.unique(ids, return_counts=True)), strict=True)
    )


def _shared_pixels(truth: np.ndarray, predicted: np.ndarray) -> dict[tuple[int, int], int]:
    """The number of common pixels of each pair of a true and a predicted segment id."""
    pairs = np.stack([truth.ravel(), predicted.ravel()])
    values, counts = np.unique(pairs, axis=1, return_counts=True)
    return {(a, b): n for a, b, n in zip(*values.tolist(), counts.tolist(), strict=True)}
