"""Which segmentations give a mask is known before anything draws them; a good box stays good."""

import math
from typing import Any

import pytest

from hdetr_d2.data.coco_json import CocoJson, Problem, find_problems, with_sound_masks

BOX = [10, 5, 20, 10]  # on an image of 40 x 30
ROUND = [[10, 5, 30, 5, 30, 15, 10, 15]]
RLE = {"counts": [300, 10, 890], "size": [30, 40]}


def content(*segmentations: object, crowd: int = 0) -> dict:
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": BOX, "iscrowd": crowd}
            | ({} if segmentation is None else {"segmentation": segmentation})
            for i, segmentation in enumerate(segmentations, start=1)
        ],
    }


def problems(*segmentations: object, crowd: int = 0, **options: Any) -> list[Problem]:
    """All but those of the crowds, and of the one box that all objects have."""
    coco = CocoJson("a.json", **content(*segmentations, crowd=crowd))
    found = find_problems(coco, **options)
    return [p for p in found if p.kind not in ("crowds", "duplicate annotations")]


FAULTS = [
    ([], "no segmentation"),
    (None, "no segmentation"),
    ([1, 2, 3, 4, 5, 6], "a segmentation that is neither a list of polygons nor an RLE"),
    ("polygon", "a segmentation that is neither a list of polygons nor an RLE"),
    ([[10, 5, math.nan, 5, 30, 15]], "a polygon that is not of finite numbers"),
    ([[10, 5, math.inf, 5, 30, 15]], "a polygon that is not of finite numbers"),
    ([[10, 5, "30", 5, 30, 15]], "a polygon that is not of finite numbers"),
    ([[10, 5, None, 5, 30, 15]], "a polygon that is not of finite numbers"),
    ([[10, 5, 30, 15]], "no polygon of at least three points"),
    ([[10, 5, 30, 15, 3]], "no polygon of at least three points"),
    ([[10, 5, 30, 15, 3, 4, 5]], "no polygon of at least three points"),
    ([[10, 5, 81, 5, 30, 15]], "a polygon far outside of its image"),
    ([[10, -31, 30, 5, 30, 15]], "a polygon far outside of its image"),
    ([[0, 16, 8, 16, 8, 29]], "a polygon elsewhere than its bbox"),
    ({"counts": [1]}, "an RLE without counts or size"),
    ({"counts": None, "size": [30, 40]}, "an RLE without counts or size"),
    ({"counts": "ab", "size": [40, 30]}, "an RLE of size [40, 30] on an image of [height, width]"),
    ({"counts": [300, 10], "size": [30, 40]}, "an RLE whose counts are not the 1200 pixels"),
    ({"counts": [1210, -10], "size": [30, 40]}, "an RLE whose counts are not the 1200 pixels"),
]


@pytest.mark.parametrize(("segmentation", "fault"), FAULTS)
def test_where_masks_are_learned_a_fault_stops_or_is_left_out(
    segmentation: object, fault: str
) -> None:
    (problem,) = problems(ROUND, segmentation, missing_masks="stop")
    assert problem.is_error
    assert f"a.json: annotation 2 of image 1 has {fault}" in problem.text
    assert problem.text.endswith("data.on_missing_mask=skip leaves such objects out")
    (problem,) = problems(ROUND, segmentation, missing_masks="skip")
    assert not problem.is_error
    coco = CocoJson("a.json", **content(ROUND, segmentation))
    kept = with_sound_masks(coco, required=True)
    assert [a["id"] for a in kept.annotations] == [1] and kept.is_changed


@pytest.mark.parametrize(("segmentation", "fault"), FAULTS)
def test_where_they_are_not_the_box_is_kept_without(segmentation: object, fault: str) -> None:
    told = problems(ROUND, segmentation)
    assert len(told) == bool(segmentation)
    for problem in told:
        assert not problem.is_error
        assert f"annotation 2 of image 1 has {fault}" in problem.text
        assert problem.text.endswith(": the box alone is learned")
    kept = with_sound_masks(CocoJson("a.json", **content(ROUND, segmentation)), required=False)
    assert [a["bbox"] for a in kept.annotations] == [BOX, BOX]
    assert [a.get("segmentation") or None for a in kept.annotations] == [ROUND, None]


@pytest.mark.parametrize(
    "segmentation",
    [
        ROUND,
        [*ROUND, [1, 2]],  # a point beside the shape
        [[10, 5, 31, 5, 31, 16, 10, 16]],
        [[14, 7, 24, 7, 24, 13]],  # what is seen of a hidden object
        [[9.5, 4.5, 29.5, 14.5, 9.5, 14.5]],
        RLE,
        {"counts": "any", "size": [30, 40]},
    ],
)
def test_sound_segmentations_pass(segmentation: object) -> None:
    for policy in ("unneeded", "stop", "skip"):
        assert problems(segmentation, missing_masks=policy) == []
    coco = CocoJson("a.json", **content(segmentation))
    assert with_sound_masks(coco, required=True) is coco


def test_an_object_of_one_pixel_may_have_a_polygon_without_area() -> None:
    coco = content([[3, 4, 3, 4, 3, 4]])
    coco["annotations"][0]["bbox"] = [3, 4, 1, 1]
    assert list(find_problems(CocoJson("a.json", **coco), missing_masks="stop")) == []


def test_a_crowd_needs_no_mask_to_be_left_out_of_training() -> None:
    assert problems([], crowd=1, missing_masks="stop") == []


@pytest.mark.parametrize("policy", ["unneeded", "stop", "skip"])
@pytest.mark.parametrize(
    ("polygon", "guess"),
    [
        ([10 / 40, 5 / 30, 30 / 40, 5 / 30, 30 / 40, 15 / 30], "fractions of the image size"),
        ([5, 10, 5, 30, 15, 30], "y, x instead of x, y"),
    ],
)
def test_polygons_in_another_format_are_told_for_all(
    polygon: list[float], guess: str, policy: str
) -> None:
    (problem,) = problems(ROUND, *[[polygon]] * 3, missing_masks=policy)
    assert problem.text == (
        f"a.json: the polygons do not agree with the boxes: they look like {guess}"
    )
    assert problem.is_error == (policy != "unneeded")
