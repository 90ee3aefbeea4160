"""LabelMe's json: shapes, groups, masks, and where the images are."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from PIL import Image

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]


def shape(kind: str | None, *points: tuple[float, float], label: str = "cat", **more: Any) -> dict:
    return {"label": label, "points": [[*p] for p in points], "shape_type": kind, **more}


def png(*rows: str) -> str:
    """A mask in base64; x is inside."""
    pixels = np.array([[each == "x" for each in row] for row in rows], np.uint8) * 255
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def write(path: Path, *shapes: Any, image: str, **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"imageWidth": 40, "imageHeight": 30}
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageData": None, **size}
    path.write_text(json.dumps({**content, "imagePath": image, **more}), encoding="utf-8")


def make(folder: Path, pictures: Pictures, *shapes: Any, **more: Any) -> Found:
    pictures(folder / "a.jpg")
    write(folder / "a.json", *shapes, image="a.jpg", **more)
    return read_folder(folder)


def annotations(found: Found) -> list[dict]:
    return found.parts["train"].content["annotations"]


def test_rectangles_have_any_two_corners_or_all_four(tmp_path: Path, pictures: Pictures) -> None:
    two = shape("rectangle", (30, 20.5), (10, 5), label="dog")
    four = shape("rectangle", (1, 2), (4, 2), (4, 8), (1, 8))
    found = make(tmp_path, pictures, two, four)
    assert [each["bbox"] for each in annotations(found)] == [[10, 5, 20, 15.5], [1, 2, 3, 6]]
    assert not any("segmentation" in each for each in annotations(found))
    assert [each["category_id"] for each in annotations(found)] == [2, 1]
    assert found.parts["train"].class_names == ["cat", "dog"]
    assert annotations(found)[0]["source"].endswith("a.json: shape 1 (dog)")


@pytest.mark.parametrize("kind", ["polygon", None, "oriented_rectangle", "rotation"])
def test_outlines(kind: str | None, tmp_path: Path, pictures: Pictures) -> None:
    (found,) = annotations(make(tmp_path, pictures, shape(kind, (5, 1), (9, 5), (5, 9), (1, 5))))
    assert found["bbox"] == [1, 1, 8, 8]
    assert found["segmentation"] == [[5, 1, 9, 5, 5, 9, 1, 5]]


def test_a_circle_has_its_centre_and_a_point_on_it(tmp_path: Path, pictures: Pictures) -> None:
    (found,) = annotations(make(tmp_path, pictures, shape("circle", (20, 15), (23, 19))))
    assert found["bbox"] == pytest.approx([15, 10, 10, 10], abs=0.01)
    assert found["area"] == pytest.approx(np.pi * 25, rel=2e-3)


def test_a_mask_lies_from_its_first_point_on(tmp_path: Path, pictures: Pictures) -> None:
    patch = shape("mask", (36.6, 1.2), (40, 3), mask=png(".xxxx", "..x.."))
    (found,) = annotations(make(tmp_path, pictures, patch))
    expected = np.zeros((30, 40), np.uint8)
    expected[1, 38:40] = expected[2, 39] = 1  # two columns are beyond the image
    assert (mask_utils.decode(found["segmentation"]) == expected).all()
    assert found["bbox"] == [38, 1, 2, 2] and found["area"] == 3


def test_shapes_of_a_group_are_one_object(tmp_path: Path, pictures: Pictures) -> None:
    corners = ((1, 1), (3, 1), (3, 3))
    boxes = [shape("rectangle", (x, 0), (x + 2, 4), group_id=7) for x in (0, 10)]
    parts = [shape("polygon", *corners), shape("rectangle", (5, 5), (6, 7))]
    of_a_group = [{**part, "group_id": 0} for part in parts]
    dog = shape("polygon", *corners, label="dog", group_id=0)
    found = make(tmp_path, pictures, *boxes, *of_a_group, dog, shape("polygon", *corners))
    grouped, mixed, dog, alone = annotations(found)
    assert grouped["bbox"] == [0, 0, 12, 4] and "segmentation" not in grouped
    assert mixed["bbox"] == [1, 1, 5, 6]
    assert mixed["segmentation"] == [[1, 1, 3, 1, 3, 3], [5, 5, 6, 5, 6, 7, 5, 7]]
    assert dog["segmentation"] == alone["segmentation"] == [[1, 1, 3, 1, 3, 3]]


def test_a_mask_and_a_box_of_a_group(tmp_path: Path, pictures: Pictures) -> None:
    mask = shape("mask", (0, 0), (1, 1), mask=png("xx", "xx"), group_id=1)
    (found,) = annotations(
        make(tmp_path, pictures, mask, shape("rectangle", (1, 1), (4, 3), group_id=1))
    )
    expected = np.zeros((30, 40), np.uint8)
    expected[:2, :2] = expected[1:3, 1:4] = 1
    assert (mask_utils.decode(found["segmentation"]) == expected).all()
    assert found["bbox"] == [0, 0, 4, 3]


def test_what_has_no_area_is_counted(tmp_path: Path, pictures: Pictures) -> None:
    lines = [shape("line", (0, 0), (1, 1)), shape("point", (0, 0)), shape("line", (0, 0), (2, 1))]
    found = make(tmp_path, pictures, *lines)
    assert annotations(found) == []
    assert found.notes == [
        "2 shapes of type line are left out", "1 shapes of type point are left out"
    ]  # fmt: skip


def test_folders_tell_the_split_and_paths_the_image(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "val" / "images" / "a b.jpg", tmp_path / "train" / "images" / "a b.jpg")
    box = shape("rectangle", (0, 0), (1, 1))
    for split in ("train", "val"):
        write(tmp_path / split / "labels" / "a b.json", box, image=r"..\images\a b.jpg")
    found = read_folder(tmp_path)
    names = {name: part.content["images"][0]["file_name"] for name, part in found.parts.items()}
    assert names == {"train": "train/images/a b.jpg", "val": "val/images/a b.jpg"}
    assert found.format == "LabelMe" and found.mark == "train/labels/a b.json"


def test_an_unstated_size_is_that_of_the_file(tmp_path: Path, pictures: Pictures) -> None:
    found = make(tmp_path, pictures, imageWidth=None, imageHeight=None)
    (image,) = found.parts["train"].content["images"]
    assert (image["width"], image["height"]) == (40, 30)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("cat", r"a\.json: shape 1 \(None\) has no label"),
        (shape("rectangle", (0, 0), (1, 1), label=""), r"a\.json: shape 1 \(\) has no label"),
        (shape("rectangle", (0, 0)), r"\(cat\): a rectangle has at least 2 points, and this 1"),
        (shape("polygon", (0, 0), (1, 1)), "a polygon has at least 3 points, and this 2"),
        (shape("circle", (0, float("nan")), (1, 1)), r"points are no list of finite \[x, y\]"),
        (shape("circle", (0, 1, 2), (1, 1)), r"points are no list of finite \[x, y\]"),
        ({"label": "cat"}, r"points are no list of finite \[x, y\]"),
        (shape("mask", (0, 0), (1, 1), mask="no"), "its mask is no image in base64"),
        (shape("mask", (0, 0), (1, 1)), "its mask is no image in base64"),
        (shape("mask", (50, 0), (51, 1), mask=png("xx")), "nothing of its mask is within the"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_one_sentence(
    broken: Any, sentence: str, tmp_path: Path, pictures: Pictures
) -> None:
    with pytest.raises(UserError, match=sentence):
        make(tmp_path, pictures, broken)


def test_an_image_that_is_not_there(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "b.jpg")
    write(tmp_path / "a.json", image="a.jpg")
    with pytest.raises(UserError, match=r"a\.json: its image a\.jpg is not in the folder"):
        read_folder(tmp_path)


def test_two_files_of_an_image(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "b.json", image="a.jpg")
    with pytest.raises(UserError, match=r"a\.json and .*b\.json both label .*a\.jpg"):
        make(tmp_path, pictures)


def test_a_label_may_be_a_number(tmp_path: Path, pictures: Pictures) -> None:
    found = make(tmp_path, pictures, shape("rectangle", (1, 1), (9, 9), label=0))
    assert found.parts["train"].class_names == ["0"]


def test_a_size_is_two_numbers(tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(UserError, match=r"a\.json: imageWidth 'wide' and imageHeight 30 "):
        make(tmp_path, pictures, imageWidth="wide")
