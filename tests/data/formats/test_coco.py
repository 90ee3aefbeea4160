"""COCO's json as tools lay it beside its images."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]


def content(*names: str, categories: list[dict] | None = None, category_id: int = 1) -> dict:
    """One object on each of some images of 40 x 30."""
    ids = range(1, len(names) + 1)
    shape = {"bbox": [2, 3, 10, 10], "area": 100.0, "iscrowd": 0}
    return {
        "images": [
            {"id": i, "file_name": name, "width": 40, "height": 30}
            for i, name in zip(ids, names, strict=True)
        ],
        "annotations": [{"id": i, "image_id": i, "category_id": category_id, **shape} for i in ids],
        "categories": categories or [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def write(path: Path, given: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given), encoding="utf-8")


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("{}/_annotations.coco.json", "{}"),  # Roboflow
        ("annotations/instances_{}2017.json", "{}2017"),  # COCO
        ("annotations/{}.json", "{}"),  # the generated shapes
        ("annotations/instances_{}.json", "images/{}"),  # CVAT
        ("{}/labels.json", "{}/images"),
        ("annotations_{}.json", "images"),
    ],
)
@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_layouts_of_tools(
    annotations: str, images: str, name: str, tmp_path: Path, pictures: Pictures
) -> None:
    other = ["a.jpg"] if "{}" in images else ["c.jpg"]  # the same name, in a folder of its own
    for split, files in (("train", ["a.jpg", "b.jpg"]), (name, other)):
        write(tmp_path / annotations.format(split), content(*files))
        pictures(*(tmp_path / images.format(split) / file for file in files))
    found = read_folder(tmp_path)
    assert list(found.parts) == ["train", "val"]
    assert found.format == "COCO"
    assert found.parts["train"].root == tmp_path / images.format("train")
    assert found.parts["val"].root == tmp_path / images.format(name)
    assert found.parts["val"].json_file == tmp_path / annotations.format(name)
    assert found.sentence().endswith(
        "train has 2 images with 2 objects; val has 1 image with 1 object; 2 classes: cat, dog"
    )


def test_a_json_without_a_split_is_that_of_training(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "result.json", content("images/a.jpg"))
    pictures(tmp_path / "images" / "a.jpg")
    assert list(read_folder(tmp_path).parts) == ["train"]


def test_captions_panoptic_and_key_points_are_left_for_instances(
    tmp_path: Path, pictures: Pictures
) -> None:
    folder = tmp_path / "annotations"
    pictures(tmp_path / "train2017" / "a.jpg")
    whole = content("a.jpg")
    write(folder / "instances_train2017.json", whole)
    write(folder / "person_keypoints_train2017.json", whole)
    segments = [{"image_id": 1, "file_name": "a.png", "segments_info": []}]
    write(folder / "panoptic_train2017.json", {**whole, "annotations": segments})
    captions = {"images": whole["images"], "annotations": [{"caption": "x"}]}
    write(folder / "captions_train2017.json", captions)
    (part,) = read_folder(tmp_path).parts.values()
    assert part.json_file == folder / "instances_train2017.json"


def test_two_for_one_split_are_refused(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "train" / "a.jpg")
    write(tmp_path / "train.json", content("a.jpg"))
    write(tmp_path / "train_old.json", content("a.jpg"))
    with pytest.raises(UserError, match=r"train\.json and train_old\.json could both be the train"):
        read_folder(tmp_path)


def test_a_json_that_tells_no_split_is_named(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "train" / "a.jpg")
    write(tmp_path / "train.json", content("a.jpg"))
    write(tmp_path / "all.json", content("a.jpg"))
    found = read_folder(tmp_path)
    assert list(found.parts) == ["train"]
    assert found.notes == ["all.json left out, as the name tells no split"]


ROBOFLOW = [
    {"id": 0, "name": "animals", "supercategory": "none"},
    {"id": 1, "name": "cat", "supercategory": "animals"},
    {"id": 2, "name": "dog", "supercategory": "animals"},
]


def test_the_parent_that_roboflow_writes_is_no_class(tmp_path: Path, pictures: Pictures) -> None:
    for split in ("train", "valid"):
        given = content("a.jpg", categories=ROBOFLOW)
        write(tmp_path / split / "_annotations.coco.json", given)
        pictures(tmp_path / split / "a.jpg")
    found = read_folder(tmp_path)
    assert [part.class_names for part in found.parts.values()] == [["cat", "dog"]] * 2
    assert found.notes == ["category 0, 'animals', is a parent and no class"]
    assert found.parts["val"].content["annotations"][0]["category_id"] == 1


@pytest.mark.parametrize("reason", ["used", "of another file", "no parent"])
def test_a_category_0_that_is_a_class_stays(
    reason: str, tmp_path: Path, pictures: Pictures
) -> None:
    categories = ROBOFLOW
    if reason == "no parent":
        categories = [{**each, "supercategory": "none"} for each in ROBOFLOW]
    name = "train.json" if reason == "of another file" else "_annotations.coco.json"
    given = content("a.jpg", categories=categories, category_id=0 if reason == "used" else 1)
    write(tmp_path / "train" / name, given)
    pictures(tmp_path / "train" / "a.jpg")
    assert read_folder(tmp_path).parts["train"].class_names == ["animals", "cat", "dog"]


def test_images_that_are_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "train.json", content("a.jpg"))
    with pytest.raises(UserError, match=r"train\.json: its images \(a\.jpg, \.\.\.\) are in none"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "/home/me/pets/a.jpg",
            r"none of .*/train \(these are paths of another machine: cut file",
        ),
        (r"pets\a.jpg", r"none of .*/train \(backslashes, as of Windows, are no folders here"),
        ("pets/a.jpg", r"none of [^(]*$"),
    ],
)
def test_a_name_that_tells_why_nothing_is_there(name: str, hint: str, tmp_path: Path) -> None:
    write(tmp_path / "train.json", content(name))
    with pytest.raises(UserError, match=hint):
        read_folder(tmp_path)


def test_two_jsons_that_tell_no_split(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "a.jpg")
    write(tmp_path / "one.json", content("a.jpg"))
    write(tmp_path / "two.json", content("a.jpg"))
    with pytest.raises(UserError, match=r"or let their names tell the splits \(train, val, test\)"):
        read_folder(tmp_path)


def test_a_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"images": [], "categories": [}')
    with pytest.raises(UserError, match=r"train\.json is not valid JSON: .*line 1, column 31"):
        read_folder(tmp_path)
