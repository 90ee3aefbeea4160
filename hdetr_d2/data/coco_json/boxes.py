"""Problems of the boxes of a json."""

import math
from collections.abc import Iterator

import numpy as np

from hdetr_d2.data.coco_json.box_format import OUTSIDE, guess_box_format, mostly_outside
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe, first_of

# Fewer boxes outside of their images are individual mistakes, whatever their fraction.
SEVERAL = 3


def box_problems(coco: CocoJson, annotations: list[dict], images: dict) -> Iterator[Problem]:
    """Problems of the boxes as a whole or, if there are none, of each box.

    Args:
        coco: the json.
        annotations: those that have a box and an image with a size.
        images: by their ids.
    """
    boxes = np.array(
        [a["bbox"] if _has_numbers(a["bbox"]) else [math.nan] * 4 for a in annotations], np.float64
    ).reshape(-1, 4)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        np.float64,
    ).reshape(-1, 2)
    finite = np.isfinite(boxes).all(1)
    if guess := guess_box_format(boxes[finite], sizes[finite]):
        text = f"{coco.name}: the boxes look like {guess}; COCO's are x, y, width, height in pixels"
        yield Problem("wrong box format", text)
        return
    far = np.flatnonzero(finite)[mostly_outside(boxes[finite], sizes[finite])]
    if len(far) >= SEVERAL and len(far) > OUTSIDE * len(boxes):
        yield _outside(coco, [annotations[i] for i in far], len(boxes))
        return
    yield from _single_problems(coco, annotations, boxes, sizes)


def _has_numbers(box: object) -> bool:
    """Whether it is a list of four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _outside(coco: CocoJson, annotations: list[dict], count: int) -> Problem:
    ids = first_of([annotation.get("id") for annotation in annotations])
    text = (
        f"{coco.name}: {len(annotations)} of {count} boxes lie more than half outside of their "
        f"images (annotations {ids}): they are in another format or of other images, or the sizes "
        "of the images are wrong (data.sizes_from_files=True takes those of the files)"
    )
    return Problem("boxes outside of their images", text)


def _single_problems(
    coco: CocoJson, annotations: list[dict], boxes: np.ndarray, sizes: np.ndarray
) -> Iterator[Problem]:
    wrong = ~np.isfinite(boxes).all(1)
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
