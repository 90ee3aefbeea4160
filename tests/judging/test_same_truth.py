import copy
from collections.abc import Callable
from typing import Any

import pytest

from hdetr_d2.judging import truth_difference

RUN_LENGTHS = {"size": [2, 2], "counts": "04"}


@pytest.fixture
def truth(draw_data: Callable) -> dict[str, Any]:
    content, _ = draw_data(0, images=3)
    assert len(content["annotations"]) > 2
    return content


def test_places_order_and_remarks_are_no_difference(truth: dict) -> None:
    other = {"info": {"year": 2017}, **copy.deepcopy(truth)}
    for section in ("images", "annotations", "categories"):
        other[section].reverse()
    other["images"][0] |= {"file_name": "elsewhere/0.png", "license": 3}
    for number, entry in enumerate(other["annotations"]):
        entry |= {
            "id": 100 + number,
            "segmentation": RUN_LENGTHS,
            "bbox": [*map(int, entry["bbox"])],
        }
    assert truth_difference(truth, other) is None
    assert truth_difference(truth, other, "segm") == "objects"


@pytest.mark.parametrize(
    ("section", "change", "what"),
    [
        ("categories", {"name": "another"}, "classes"),
        ("categories", {"id": 77}, "classes"),
        ("images", {"id": 77}, "images"),
        ("images", {"width": 151}, "images"),
        *(("annotations", {key: 7}, "objects") for key in ("image_id", "category_id", "area")),
        ("annotations", {"bbox": [0, 0, 1, 1]}, "objects"),
        ("annotations", {"iscrowd": 5}, "objects"),
    ],
)
def test_what_is_told_apart(truth: dict, section: str, change: dict, what: str) -> None:
    other = copy.deepcopy(truth)
    other[section][0] |= change
    assert truth_difference(truth, other) == what


def test_an_object_more_is_a_difference(truth: dict) -> None:
    twice = {**truth, "annotations": [*truth["annotations"], truth["annotations"][0]]}
    assert truth_difference(truth, twice) == "objects"
    nothing = {**truth, "annotations": []}
    assert truth_difference(nothing, nothing) is None and truth_difference(nothing, truth)
