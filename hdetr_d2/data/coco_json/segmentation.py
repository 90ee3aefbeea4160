"""Checks whether a segmentation gives a mask, before a mask library sees it."""

import math
from collections.abc import Sequence

# Two spans with less IoU than this belong to different objects.
AGREE = 0.1

Span = tuple[float, float, float, float]


def mask_fault(annotation: dict, width: int, height: int) -> str | None:
    """Why an annotation has no mask that can be learned; None if it has one.

    Args:
        annotation: with a `bbox` of four numbers.
        width, height: of its image.
    """
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return "no segmentation"
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, [height, width])
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return "a segmentation that is neither a list of polygons nor an RLE"
    if not all(map(_is_finite, segmentation)):
        return "a polygon that is not of finite numbers"
    parts = with_area(segmentation)
    if not parts:
        return "no polygon of at least three points"
    found = span(parts)
    if min(found[0] + width, found[1] + height, 2 * width - found[2], 2 * height - found[3]) < 0:
        return "a polygon far outside of its image"
    if overlap(found, corners(annotation["bbox"])) < AGREE:
        return "a polygon elsewhere than its bbox"
    return None


def has_shape(annotation: dict) -> bool:
    """False if all polygons have fewer than three points: Detectron2 drops such objects."""
    segmentation = annotation.get("segmentation")
    if not segmentation or not isinstance(segmentation, list):
        return True
    return bool(with_area([p for p in segmentation if isinstance(p, list)]))


def with_area(polygons: list[list[float]]) -> list[list[float]]:
    """The polygons [x, y, x, y, ...] with at least three points."""
    return [p for p in polygons if len(p) >= 6 and len(p) % 2 == 0]


def span(polygons: list[list[float]]) -> Span:
    """x1, y1, x2, y2 of all polygons together."""
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def corners(box: Sequence[float]) -> Span:
    """x1, y1, x2, y2 of COCO's x, y, width, height."""
    x, y, width, height = box
    return x, y, x + width, y + height


def overlap(first: Span, second: Span) -> float:
    """Intersection over union of two spans, each enlarged by a pixel on every side: lines and
    points then have an area, and exporters that include the last pixel agree with those that do
    not.
    """
    width = min(first[2], second[2]) - max(first[0], second[0]) + 2
    height = min(first[3], second[3]) - max(first[1], second[1]) + 2
    common = max(width, 0) * max(height, 0)
    areas = [(x2 - x1 + 2) * (y2 - y1 + 2) for x1, y1, x2, y2 in (first, second)]
    return common / (sum(areas) - common)


def _is_finite(polygon: list) -> bool:
    try:
        return math.isfinite(sum(polygon))  # it is not if any of them is not
    except TypeError:
        return False


def _rle_fault(rle: dict, size: list[int]) -> str | None:
    counts, stated = rle.get("counts"), rle.get("size")
    if not isinstance(counts, list | str) or not isinstance(stated, list):
        return "an RLE without counts or size"
    if stated != size:
        return f"an RLE of size {stated} on an image of [height, width] {size}"
    if isinstance(counts, list):
        whole = all(isinstance(count, int) and count >= 0 for count in counts)
        if not whole or sum(counts) != size[0] * size[1]:
            return f"an RLE whose counts are not the {size[0] * size[1]} pixels of its image"
    return None
