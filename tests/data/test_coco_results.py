"""Files of results that are none are told in one sentence, with the file and the entry."""

import json
from pathlib import Path
from typing import Any

import pytest

from hdetr_d2.data import read_results
from hdetr_d2.errors import UserError

GOOD: dict[str, Any] = {"image_id": 7, "category_id": "cat", "bbox": [0, 1.5, 2, 3], "score": 1}
MASK = {"size": [4, 4], "counts": "04L0"}


def write(folder: Path, content: object) -> Path:
    (folder / "found.json").write_text(json.dumps(content))
    return folder / "found.json"


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


def test_what_is_right_is_read_as_it_stands(tmp_path: Path) -> None:
    mask = {**without("bbox"), "segmentation": MASK}
    assert read_results(write(tmp_path, [])) == []
    found = [GOOD, {**GOOD, "image_id": 2**70, "score": 0.0, "segmentation": []}]
    assert read_results(write(tmp_path, found)) == found
    assert read_results(write(tmp_path, [mask]), shape="segmentation") == [mask]


TRUTH: dict[str, Any] = {
    "images": [{"id": 70, "file_name": "a.png"}, {"id": 80, "file_name": "b/a.png"}],
    "categories": [{"id": 5, "name": "cat"}, {"id": 3, "name": "dog"}],
}


def whole(*names: str, classes: tuple[str, ...] = ("dog", "cat")) -> dict[str, Any]:
    """As prediction writes it, with one dog in each image."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    box = {"bbox": [0, 0, 1, 1], "score": 0.5, "category_id": 1}
    found = [{"image_id": image["id"], **box} for image in images]
    return {"images": images, "categories": categories, "annotations": found}


def test_what_was_predicted_is_found_by_the_names_of_files_and_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, whole("/photos/b/a.png", "a.png"))
    found = read_results(path, truth=TRUTH)
    assert [(entry["image_id"], entry["category_id"]) for entry in found] == [(80, 3), (70, 3)]
    assert [(entry["bbox"], entry["score"]) for entry in found] == [([0, 0, 1, 1], 0.5)] * 2
    assert not caplog.records
    (found,) = read_results(write(tmp_path, whole("/photos/a.png")), truth=TRUTH)
    assert found["image_id"] == 70
    assert "1 of 2 images are not in" in caplog.text
    assert read_results(write(tmp_path, [GOOD]), truth=TRUTH) == [GOOD]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (whole("c.png"), r"c\.png is no image of the json with the objects"),
        (whole("x/a.png", "y/a.png"), "image 70 of the json with the objects is in it twice"),
        (whole("a.png", classes=("cow",)), "cow is no class of the json"),
        (whole("a.png", classes=()), "no image or category 1"),
        ({**whole("a.png"), "annotations": [{}]}, "result 0 has no 'image_id'"),
        ({**whole("a.png"), "images": [{"id": 1}]}, "is not a COCO json: .*'file_name'"),
        ({**whole("a.png"), "categories": ["dog"]}, "is not a COCO json: "),
        ({"annotations": []}, "is not a list of COCO results"),
    ],
)
def test_what_is_not_that_of_a_json_is_told(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_results(write(tmp_path, content), truth=TRUTH)


def test_a_name_that_the_objects_have_twice_is_told(tmp_path: Path) -> None:
    truth = {**TRUTH, "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}]}
    with pytest.raises(UserError, match=r"has file_name a\.png twice"):
        read_results(write(tmp_path, whole("a.png")), truth=truth)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ([1, 2], r"is \[1, 2\], which is no mapping"),
        *((without(key), f"has no '{key}'") for key in GOOD),
        ({**GOOD, "image_id": [1]}, r"has image_id \[1\], which is neither a number nor a word"),
        ({**GOOD, "image_id": None}, "has image_id None, which is neither"),
        ({**GOOD, "category_id": {}}, "has category_id {}, which is neither"),
        ({**GOOD, "category_id": float("nan")}, "has category_id nan, which is neither"),
        *(
            ({**GOOD, "score": score}, f"has score {score!r}, which is no number in")
            for score in ("0.5", float("nan"), float("inf"), -0.1, 50, None, True)
        ),
        *(
            ({**GOOD, "bbox": box}, "has bbox .*, which is not x, y, width, height in pixels")
            for box in ([0, 1, 2], [0, 1, 2, "3"], [0, 1, 2, float("nan")], "0123", None)
        ),
        ({**GOOD, "bbox": [0, 1, 2, 10**400]}, "has bbox .{60}, which is not"),
    ],
)
def test_the_entry_and_its_fault_are_told(tmp_path: Path, entry: object, fault: str) -> None:
    path = write(tmp_path, [GOOD, entry, {}])
    with pytest.raises(UserError, match=rf"^\S+found\.json: result 1 {fault}"):
        read_results(path)


@pytest.mark.parametrize(
    "mask",
    [[[0, 0, 4, 0, 4, 4]], {"size": [4, 4]}, {**MASK, "size": 16}, {**MASK, "counts": [0, 16]}],
)
def test_masks_are_compressed_run_lengths(tmp_path: Path, mask: object) -> None:
    path = write(tmp_path, [{**GOOD, "segmentation": mask}])
    with pytest.raises(UserError, match="result 0 has a segmentation that is not compressed run"):
        read_results(path, shape="segmentation")
    assert len(read_results(path)) == 1


def test_the_file_is_a_list_in_json(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found\.json is not a list of COCO results"):
        read_results(write(tmp_path, {"annotations": []}))
    (tmp_path / "text.json").write_text("[")
    with pytest.raises(UserError, match=r"text\.json is not valid JSON: .* \(line 1, column 2\)"):
        read_results(tmp_path / "text.json")
    with pytest.raises(UserError, match=r"none\.json does not exist"):
        read_results(tmp_path / "none.json")
