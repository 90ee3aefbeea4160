"""Problems of the boxes of a json."""

import math
from collections.abc import Iterator

import numpy as np

from hdetr_d2.data.coco_json.box_format import guess_box_format
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe


def _four_numbers(box: object) -> list[float]:
    """The box itself, or four NaN for anything that is not four numbers."""
    if isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box):
        return box
    return [math.nan] * 4


def box_problems(coco: CocoJson, annotations: list[dict], images: dict) -> Iterator[Problem]:
    boxes = np.array([_four_numbers(a["bbox"]) for a in annotations], np.float64).reshape(-1, 4)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        np.float64,
    ).reshape(-1, 2)
    wrong = ~np.isfinite(boxes).all(1)
    if guess := guess_box_format(boxes[~wrong], sizes[~wrong]):
        text = f"{coco.path}: the boxes look like {guess}; COCO's are x, y, width, height in pixels"
        yield Problem("wrong box format", text)
        return
    inverted = (boxes[:, 2:] < 0).any(1)
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    clipped = corners.clip(0, sizes[:, None])  # [N, 2, 2]
    empty = (clipped[:, 1] <= clipped[:, 0]).any(1) & ~inverted & ~wrong
    leaving = (corners < -1).any((1, 2)) | (corners > sizes[:, None] + 1).any((1, 2))
    cases = (
        (wrong, "not four finite numbers", True),
        (inverted, "negative width or height", True),
        (empty, "no area inside its image, so it is left out", False),
        (leaving & ~empty & ~inverted & ~wrong, "leaves its image", False),
    )
    for found, fault, is_error in cases:
        for i in np.flatnonzero(found):
            text = f"{describe(coco, annotations[i])} has bbox {annotations[i]['bbox']}: {fault}"
            yield Problem(f"box: {fault}", text, is_error)
