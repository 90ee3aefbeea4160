"""COCO's run lengths of a mask that is scaled to a larger picture, without making it."""

import numpy as np
import pycocotools.mask as mask_utils


def run_lengths(small: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> dict:
    """Run lengths of `small[rows][:, columns]`, whose pixels count column by column. A column that
    is repeated has its runs again: nothing of the size of the original image is made.

    Args:
        small: bool [h, w].
        rows, columns: growing indices, [H] and [W].
    """
    height, width = len(rows), len(columns)
    rows, first_rows = np.unique(rows, return_index=True)
    small = small[rows]  # [h', w]
    sources, steps = np.nonzero((small[1:] != small[:-1]).T)  # by column, then by row
    changes = np.bincount(sources, minlength=small.shape[1])
    starts = np.cumsum(changes) - changes
    # A change within a column: how many there are in each, and which.
    number = changes[columns]
    column = np.repeat(np.arange(width), number)
    nth = np.arange(len(column)) - np.repeat(np.cumsum(number) - number, number)
    within = column * height + first_rows[steps[starts[columns][column] + nth] + 1]
    # A change from the last pixel of a column to the first one of the next; before all is nothing.
    before = np.concatenate([[False], small[-1, columns][:-1]])
    between = np.flatnonzero(small[0, columns] != before) * height
    ends = np.concatenate([np.sort(np.concatenate([within, between])), [height * width]])
    counts = np.diff(ends, prepend=0).tolist()
    rle = mask_utils.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
