"""COCO's run lengths of an upscaled mask, computed without creating it."""

import numpy as np
import pycocotools.mask as mask_utils


def run_lengths(small: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> dict:
    """Run lengths of `small[rows][:, columns]` in column-major order. Repeated columns repeat their
    runs, so that nothing of the size of the original image is created.

    Args:
        small: bool [h, w].
        rows, columns: increasing indices, [H] and [W].
    """
    height, width = len(rows), len(columns)
    rows, first_rows = np.unique(rows, return_index=True)
    small = small[rows]  # [h', w]
    sources, steps = np.nonzero((small[1:] != small[:-1]).T)  # by column, then by row
    changes = np.bincount(sources, minlength=small.shape[1])
    starts = np.cumsum(changes) - changes
    # Changes within a column: how many there are in each, and which.
    number = changes[columns]
    column = np.repeat(np.arange(width), number)
    nth = np.arange(len(column)) - np.repeat(np.cumsum(number) - number, number)
    within = column * height + first_rows[steps[starts[columns][column] + nth] + 1]
    # Changes from the last pixel of a column to the first one of the next; the start counts as
    # empty.
    before = np.concatenate([[False], small[-1, columns][:-1]])
    between = np.flatnonzero(small[0, columns] != before) * height
    ends = np.concatenate([np.sort(np.concatenate([within, between])), [height * width]])
    counts = np.diff(ends, prepend=0).tolist()
    rle = mask_utils.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
