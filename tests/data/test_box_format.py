"""Boxes of another format are told by their share; sound data of every kind pass."""

from collections.abc import Callable

import numpy as np
import pytest

from hdetr_d2.data.coco_json import guess_box_format
from hdetr_d2.data.coco_json.box_format import mostly_outside

Sizes = tuple[int, int]
OBJECTS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "small": lambda r, sizes: r.uniform(0.02, 0.1, sizes.shape),
    "medium": lambda r, sizes: r.uniform(0.1, 0.5, sizes.shape),
    "large": lambda r, sizes: r.uniform(0.5, 1, sizes.shape),
    "of all sizes": lambda r, sizes: np.exp(r.uniform(np.log(0.01), 0, sizes.shape)),
    "that fill the image": lambda r, sizes: np.ones(sizes.shape),
    "of a pixel": lambda r, sizes: 1 / sizes,
}
IMAGES: list[Sizes] = [(1, 4), (4, 20), (20, 64), (64, 160), (100, 104), (480, 640), (1000, 4000)]
FORMATS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "fractions of the image size": lambda boxes, sizes: boxes / np.tile(sizes, 2),
    "percent of the image size": lambda boxes, sizes: 100 * boxes / np.tile(sizes, 2),
    "corners (x1, y1, x2, y2)": lambda boxes, sizes: np.c_[
        boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    ],
    "centre, width, height": lambda boxes, sizes: np.c_[
        boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    ],
}


def sound(
    kind: str, sides: Sizes, seed: int, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 4] in COCO's format anywhere in their images, and the sizes [N, 2] of these."""
    random = np.random.default_rng(seed)
    count = count or int(random.choice([1, 2, 5, 36, 400]))
    sizes = random.integers(sides[0], sides[1] + 1, (count, 2)).astype(float)
    wh = OBJECTS[kind](random, sizes) * sizes
    boxes = np.c_[random.uniform(0, 1, (count, 2)) * (sizes - wh), wh]
    if seed % 3 == 1:
        boxes = np.c_[np.floor(boxes[:, :2]), np.maximum(1, np.floor(wh))]  # whole pixels
    elif seed % 3 == 2:
        boxes[:, 2:] += random.uniform(0, 1, (count, 2))  # rounded up
    return boxes, sizes


@pytest.mark.parametrize("sides", IMAGES)
@pytest.mark.parametrize("kind", OBJECTS)
def test_sound_boxes_pass(kind: str, sides: Sizes) -> None:
    for seed in range(60):
        boxes, sizes = sound(kind, sides, seed)
        assert guess_box_format(boxes, sizes) is None, seed
        assert not mostly_outside(boxes, sizes).any(), seed


@pytest.mark.parametrize("kind", ["small", "medium", "of all sizes"])
def test_a_tenth_of_cut_objects_passes(kind: str) -> None:
    for seed in range(60):
        boxes, sizes = sound(kind, (200, 800), seed, count=200)
        boxes[::10, :2] += np.random.default_rng(seed).uniform(-0.5, 0.5, (20, 2)) * boxes[::10, 2:]
        assert guess_box_format(boxes, sizes) is None, seed


@pytest.mark.parametrize("odd", [[-1, 20, 30, 40], [0.8, 0.5, 1.004, 0.3], [700, 5, 9, 9]])
@pytest.mark.parametrize("name", FORMATS)
def test_one_odd_box_hides_no_other_format(name: str, odd: list[float]) -> None:
    for seed in range(30):
        boxes, sizes = sound("medium", (300, 640), 3 * seed, count=36)
        other = FORMATS[name](boxes, sizes)
        assert guess_box_format(other, sizes) == name, seed
        other[5] = odd
        assert guess_box_format(other, sizes) == name, seed


def test_yolos_boxes_are_fractions() -> None:
    boxes, sizes = sound("small", (480, 640), 0, count=3)
    centres = FORMATS["centre, width, height"](boxes, sizes)
    found = guess_box_format(FORMATS["fractions of the image size"](centres, sizes), sizes)
    assert found == "fractions of the image size"


def test_percent_is_told_in_images_below_a_hundred_pixels_by_the_boxes_that_leave() -> None:
    boxes, sizes = sound("medium", (60, 80), 0, count=36)
    found = guess_box_format(FORMATS["percent of the image size"](boxes, sizes), sizes)
    assert found == "percent of the image size"


def test_a_logo_in_the_corner_is_no_percentage() -> None:
    boxes = np.tile([10.0, 10, 60, 25], (500, 1))
    assert guess_box_format(boxes, np.full((500, 2), 640.0)) is None


@pytest.mark.parametrize(
    ("box", "outside"),
    [
        ([90, 40, 20, 20], False),  # half
        ([92, 40, 20, 20], True),
        ([-13, 40, 20, 20], True),
        ([99.5, 40, 1, 1], False),  # rounding
        ([100, 40, 1, 1], False),
        ([200, 40, 0, 5], False),  # nothing of it lies anywhere
        ([200, 40, 5, 5], True),
    ],
)
def test_more_than_half_outside(box: list[float], outside: bool) -> None:
    assert mostly_outside(np.array([box], float), np.full((1, 2), 100.0)).tolist() == [outside]
