"""Sizes of each rule: by hand, as recorded from its source, and as exact fractions give them."""

import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import resize
from torchvision.tv_tensors import BoundingBoxes

from hdetr_d2.data import RandomShortSide
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.pixels.roundings import ROUNDINGS

RECORDED = json.loads(Path(__file__).with_name("published_sizes.json").read_text())
SOURCES = RECORDED["columns"][4:]
HALF = Fraction(1, 2)
# To a shorter side of 800 and a longer one of 1333 at most: 800 / 353 * 500 = 1133.14, 800 / 427 *
# 640 = 1199.06; 300 x 1200 is bounded, 1333 / 1200 * 300 = 333.25, and 333 * 4 = 1332; so is 333 x
# 1000, 1.333 * 333 = 443.889, and 444 / 333 * 1000 = 1333.3.
BY_HAND = {
    "nearest": ((800, 1133), (1199, 800), (333, 1333), (444, 1333)),
    "detr": ((800, 1133), (1199, 800), (333, 1332), (444, 1333)),
    "transformers": ((800, 1133), (1199, 800), (333, 1333), (444, 1333)),
    "torchvision": ((800, 1133), (1199, 800), (333, 1333), (443, 1333)),
    "detectron2": ((800, 1133), (1199, 800), (333, 1333), (444, 1333)),
    "mmdetection": ((800, 1133), (1199, 800), (333, 1333), (444, 1333)),
    "route_detr": ((800, 1133), (1199, 800), (333, 1333), (443, 1333)),
}
SIZES = ((353, 500), (640, 427), (300, 1200), (333, 1000))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_sizes_worked_out_by_hand(rounding: str) -> None:
    rule = ResizeRule(rounding)
    assert tuple(rule.size(*size, 800, 1333) for size in SIZES) == BY_HAND[rounding]


def test_where_the_rules_part() -> None:
    def sizes(height: int, width: int, side: int = 800, most: int = 1333) -> dict:
        return {name: ResizeRule(name).size(height, width, side, most) for name in ROUNDINGS}

    # 1.25 * 638 = 797.5, and 1.25 * 642 = 802.5: a half is even for one, and up for the others.
    half = sizes(642, 640)
    assert (half["nearest"], half["detectron2"], half["mmdetection"]) == (
        (802, 800),
        (803, 800),
        (803, 800),
    )
    assert half["detr"] == half["transformers"] == half["torchvision"] == (802, 800)
    # 1333 * 427 / 1000 = 569.19, and of DETR 569 * 1000 / 427 = 1332.55.
    assert sizes(427, 1000)["detr"] == (569, 1332)
    # 1333 * 70 / 700 = 133.3, and of DETR 133 * 10 = 1330; 134.5 * 10 is beyond 1344.
    assert sizes(70, 700)["detr"] == (133, 1330)
    assert sizes(70, 700, most=1346)["detr"] == (135, 1350)  # beyond the bound


@pytest.mark.parametrize("source", SOURCES)
def test_sizes_recorded_from_the_sources(source: str) -> None:
    column = RECORDED["columns"].index(source)
    rule = ResizeRule(source)
    found = [list(rule.size(*row[:4])) for row in RECORDED["rows"]]
    assert found == [row[column] for row in RECORDED["rows"]]
    if source != "detectron2":  # which rounds as we do, but for halves
        own = [list(ResizeRule().size(*row[:4])) for row in RECORDED["rows"]]
        assert found != own


def exactly(
    rounding: str, short: int, long: int, side: int, most: int
) -> tuple[Fraction | int, Fraction | int]:
    """Both sides as fractions; what a rule rounds by itself is whole already."""
    ratio = Fraction(long, short)
    bounded = ratio * side > most
    scale = min(Fraction(side, short), Fraction(most, long))
    if rounding in ("detr", "transformers"):
        exact = Fraction(most, 1) / ratio if bounded else Fraction(side)
        shorter = round(exact)
        if rounding == "detr":
            return shorter, int(ratio * shorter)
        return shorter, long if shorter == short else ratio * exact
    if rounding == "torchvision":
        longer = int(side * ratio)
        return (int(Fraction(most * side, longer)), most) if longer > most else (side, longer)
    return short * scale, long * scale


def fits(found: int, exact: Fraction | int, rounding: str) -> bool:
    """Whether a side is the exact one rounded. Within a billionth of the limit both are right for
    double precision, and within a ten thousandth for single precision.
    """
    if isinstance(exact, int):
        return found == exact
    truncates = rounding in ("transformers", "route_detr")
    slack = Fraction(1, 10**4 if rounding == "route_detr" else 10**9)
    low, high = (exact - 1, exact) if truncates else (exact - HALF, exact + HALF)
    return low - slack <= found <= high + slack


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_thousands_of_sizes_against_exact_fractions(rounding: str) -> None:
    rule, draw = ResizeRule(rounding), random.Random(0)
    for _ in range(4000):
        height, width = draw.randint(20, 3000), draw.randint(20, 3000)
        side, most = draw.choice([(800, 1333), (480, 640), (1024, 2048)])
        short, long = sorted((height, width))
        exact = exactly(rounding, short, long, side, most)
        found = sorted(rule.size(height, width, side, most))
        assert all(
            fits(one, other, rounding) or (one == 1 and other < 1)
            for one, other in zip(found, exact, strict=True)
        ), (height, width, side, most, found, exact)


def test_torchvisions_rule_is_what_torchvision_does() -> None:
    draw = random.Random(0)
    for _ in range(500):
        size = (draw.randint(30, 2000), draw.randint(30, 2000))
        boxes = BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=size)
        expected = resize(boxes, [480], max_size=640).canvas_size
        assert ResizeRule("torchvision").size(*size, 480, 640) == expected


def test_transformers_rule_is_what_transformers_does() -> None:
    transforms = pytest.importorskip("transformers.image_transforms")
    draw = random.Random(0)
    for _ in range(2000):
        size = (draw.randint(30, 2000), draw.randint(30, 2000))
        expected = transforms.get_size_with_aspect_ratio(size, 800, 1333)
        assert ResizeRule("transformers").size(*size, 800, 1333) == expected


def test_detectron2s_rule_is_what_detectron2_does() -> None:
    transforms = pytest.importorskip("detectron2.data.transforms", exc_type=ImportError)
    draw = random.Random(0)
    for _ in range(2000):
        size = (draw.randint(30, 2000), draw.randint(30, 2000))
        expected = transforms.ResizeShortestEdge.get_output_shape(*size, 800, 1333)
        assert ResizeRule("detectron2").size(*size, 800, 1333) == expected


def test_this_projects_own_rule_is_what_it_was() -> None:
    draw = random.Random(0)
    for most in (1333, None):
        for _ in range(2000):
            size = np.array([draw.randint(1, 3000), draw.randint(1, 3000)])
            scale = 800 / size.min()
            if most is not None:
                scale = min(scale, most / size.max())
            expected = tuple(max(1, round(float(side) * float(scale))) for side in size)
            assert ResizeRule().size(*size.tolist(), 800, most) == expected
            boxes = BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=tuple(size))
            assert tuple(RandomShortSide([800], most)(boxes).canvas_size) == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_without_a_bound_and_down_to_a_pixel(rounding: str) -> None:
    rule = ResizeRule(rounding)
    assert rule.size(30, 90, 60, None) == (60, 180)
    assert rule.size(90, 30, 60, None) == (180, 60)
    assert rule.size(50, 50, 64, 64) == (64, 64)
    assert min(rule.size(1, 4000, 8, 16)) == 1


def test_a_rule_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="rounding='up' must be one of nearest, detr, "):
        ResizeRule("up")
    with pytest.raises(ValueError, match="interpolation='cubic' must be one of torch, "):
        ResizeRule(interpolation="cubic")
