"""Masks as polygons: hand-written corners, and pycocotools as the oracle of what is inside."""

import numpy as np
import pycocotools.mask as mask_utils
import pytest

from hdetr_d2.pixels.outlines import outline


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def filled(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    points = [polygon.ravel().astype(float).tolist()]
    (rle,) = mask_utils.frPyObjects(points, height, width)
    return mask_utils.decode(rle).astype(bool)


def corners(polygon: np.ndarray) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for x, y in polygon}


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_a_rectangle_has_its_four_corners() -> None:
    mask = np.zeros((8, 10), bool)
    mask[2:5, 3:9] = True
    polygon = outline(mask)
    assert polygon.shape == (4, 2)
    assert corners(polygon) == {(3, 2), (9, 2), (9, 5), (3, 5)}


def test_a_single_pixel_is_a_square() -> None:
    polygon = outline(drawn("...", ".#.", "..."))
    assert corners(polygon) == {(1, 1), (2, 1), (2, 2), (1, 2)}
    assert area(polygon) == 1


def test_a_corner_is_where_the_edge_turns() -> None:
    polygon = outline(drawn("#..", "##."))
    assert len(polygon) == 6
    assert corners(polygon) == {(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)}


def test_the_whole_image() -> None:
    assert corners(outline(np.ones((3, 4), bool))) == {(0, 0), (4, 0), (4, 3), (0, 3)}


def test_nothing_has_no_outline() -> None:
    assert outline(np.zeros((3, 4), bool)).shape == (0, 2)


@pytest.mark.parametrize(
    "mask",
    [
        drawn("#####", "#...#", "#.#.#", "#...#", "#####"),  # a hole with a part in it
        drawn("##....", "##..##", "....##", "#....."),  # parts
        drawn("#...#", ".....", "#...#"),
        drawn("#.#", ".#.", "#.#"),  # pixels that share corners alone
        drawn("######", "#.##.#", "######"),  # two holes
    ],
)
def test_parts_and_holes_are_one_polygon(mask: np.ndarray) -> None:
    assert (filled(outline(mask), *mask.shape) == mask).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_any_mask_comes_back(share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((9, 13)) < share
        if mask.any():
            polygon = outline(mask)
            assert (filled(polygon, 9, 13) == mask).all()
