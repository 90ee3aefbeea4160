"""Detections as plain data in COCO's format."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from hdetr_d2.runtime.shapes import Masks, Shapes

Result: TypeAlias = dict[str, Any]
"""One detection: `image_id`, `file_name` (None for images in memory), `category_id`,
`category_name`, `score`, `bbox` [x, y, width, height] in pixels of the upright image,
`segmentation` (RLE) if there are masks, and `track_id` (from 1; None without a track) if objects
are tracked.
"""


def coco_results(
    shapes: Shapes, class_names: Sequence[str], *, image_id: int, file_name: str | None
) -> list[Result]:
    """Converts the detections of one image; category ids start at 1, in the order of the class
    names.

    Args:
        shapes: must have scores.
    """
    assert shapes.scores is not None, "detections have scores"
    rles = [] if shapes.masks is None else _rles(shapes.masks)
    results: list[Result] = []
    for i, (label, score) in enumerate(
        zip(shapes.classes.tolist(), shapes.scores.tolist(), strict=True)
    ):
        left, top, right, bottom = shapes.boxes[i].tolist()
        result: Result = {
            "image_id": image_id,
            "file_name": file_name,
            "category_id": label + 1,
            "category_name": class_names[label],
            "score": score,
            "bbox": [left, top, right - left, bottom - top],
        }
        if shapes.masks is not None:
            result["segmentation"] = rles[i]
        if shapes.tracks is not None:
            track = int(shapes.tracks[i])
            result["track_id"] = None if track < 0 else track + 1
        results.append(result)
    return results


def coco_content(
    images: Sequence[Mapping[str, Any]], results: Sequence[Result], class_names: Sequence[str]
) -> dict[str, list]:
    """The content of a complete COCO json, which annotation tools and pycocotools can open.

    Args:
        images: COCO image entries: id, file_name, width, height.
        results: the detections of these images.
    """
    annotations = [
        {"id": number, "iscrowd": 0, "area": _area(result), **result}
        for number, result in enumerate(results, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)]
    return {"images": list(images), "annotations": annotations, "categories": categories}


def _area(result: Result) -> float:
    """The area in pixels of the mask if there is one, otherwise of the box."""
    if "segmentation" in result:
        import pycocotools.mask as mask_utils  # needed for masks only

        return float(mask_utils.area(result["segmentation"]))
    return result["bbox"][2] * result["bbox"][3]


def _rles(masks: Masks) -> list[dict]:
    if hasattr(masks, "rles"):
        return masks.rles()
    from hdetr_d2.pixels.run_lengths import run_lengths  # needed for masks only

    arrays = [np.asarray(mask) for mask in masks]
    return [run_lengths(mask, *map(np.arange, mask.shape)) for mask in arrays]
