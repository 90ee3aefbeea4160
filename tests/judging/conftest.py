"""Small data sets with detections, drawn and by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hdetr_d2.judging import Numbered

SIDE = 150
CATEGORIES = (2, 5, 9)


def draw(seed: int, *, images: int = 12, crowds: float = 0.15) -> tuple[dict, list[dict]]:
    """Detections around objects and elsewhere, whose scores are often equal; of the last class
    there is no object, and ids count from 0.
    """
    random = np.random.default_rng(seed)
    annotations: list[dict] = []
    results: list[dict] = []
    for image in range(images):
        boxes = [_box(random) for _ in range(random.integers(0, 6))]
        for box in boxes:
            entry = {"id": len(annotations), "image_id": image, "bbox": box}
            entry["category_id"] = int(random.choice(CATEGORIES[:2]))
            entry |= {"area": box[2] * box[3], "iscrowd": int(random.random() < crowds)}
            annotations.append(entry)
        for _ in range(random.integers(0, 25)):
            box = _box(random)
            if boxes and random.random() < 0.6:
                box = [float(side + random.integers(-3, 4)) for side in boxes[0]]
                boxes = boxes[1:] + boxes[:1]
            result = {"image_id": image, "category_id": int(random.choice(CATEGORIES))}
            results.append({**result, "bbox": box, "score": float(random.integers(1, 20)) / 20})
    content = {
        "images": [{"id": i, "width": SIDE, "height": SIDE} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": i, "name": f"class {i}"} for i in CATEGORIES],
    }
    return content, results


def _box(random: np.random.Generator) -> list[float]:
    """xywh"""
    return [*map(float, random.integers(0, 50, 2)), *map(float, random.integers(10, 100, 2))]


def by_hand(objects: list[tuple], detections: list[tuple]) -> tuple[dict, list[dict]]:
    """One row an object (image, class, box, is crowd) or a detection (image, class, box, score);
    boxes are left, top, width and height.
    """
    content: dict[str, Any] = {
        "images": [{"id": i, "width": 100, "height": 100} for i in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": image, "category_id": label, "bbox": [*box], "iscrowd": crowd}
            | {"area": box[2] * box[3]}
            for n, (image, label, box, crowd) in enumerate(objects)
        ],
    }
    results = [
        {"image_id": image, "category_id": label, "bbox": [*box], "score": score}
        for image, label, box, score in detections
    ]
    return content, results


@pytest.fixture
def draw_data() -> Callable[..., tuple[dict, list[dict]]]:
    return draw


@pytest.fixture
def make_data() -> Callable[..., Numbered]:
    def make(objects: list[tuple], detections: list[tuple]) -> Numbered:
        return Numbered.of(*by_hand(objects, detections))

    return make
