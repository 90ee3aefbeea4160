"""In which format the boxes of a data set are."""

import numpy as np

# Share of a side by which a box may leave its image before it counts as a sign of another format.
SLACK = 0.05


def guess_box_format(boxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """Which other format the boxes of a data set seem to have; None if COCO's is possible.

    An odd box proves nothing: over a tenth must leave their images, and all fit the other format.

    Args:
        boxes: [N, 4] finite numbers as they stand in the json.
        sizes: [N, 2] width and height of each box's image.
    """
    if len(boxes) == 0:
        return None
    if boxes.max() <= 1 and boxes.min() >= 0 and boxes.any():
        return "fractions of the image size"
    first, second = boxes[:, :2], boxes[:, 2:]
    room = sizes * (1 + SLACK)
    if (first + second > room).any(1).mean() <= 0.1:
        return None
    if (second > first).all() and (second <= room).all() and (first >= 0).all():
        return "corners (x1, y1, x2, y2)"
    half = second / 2
    if (first - half >= -SLACK * sizes).all() and (first + half <= room).all():
        return "centre, width, height"
    return None
