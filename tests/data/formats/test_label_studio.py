"""Label Studio's json: percent, turned boxes, and where the images are."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
SIZE = {"original_width": 40, "original_height": 30}


def rectangle(
    label: str, x: float, y: float, width: float, height: float, angle: float = 0
) -> dict:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": angle}
    value["rectanglelabels"] = [label]
    return {"id": "r1", "type": "rectanglelabels", "value": value, **SIZE}


def task(*results: dict, image: str = "/data/upload/1/0123abcd-a%20b.jpg", **more: object) -> dict:
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": [*results]}], **more}


def make(folder: Path, pictures: Pictures, *tasks: dict, file: str = "images/a b.jpg") -> Found:
    pictures(folder / file)
    (folder / "project.json").write_text(json.dumps(tasks), encoding="utf-8")
    return read_folder(folder)


def annotations(found: Found) -> list[dict]:
    return found.parts["train"].content["annotations"]


def test_coordinates_are_percent(tmp_path: Path, pictures: Pictures) -> None:
    first, second = rectangle("guide dog", 25, 10, 50, 20), rectangle("cat", 0, 0, 100, 100)
    found = make(tmp_path, pictures, task(first, second))
    assert [a["bbox"] for a in annotations(found)] == [
        pytest.approx([10, 3, 20, 6]), pytest.approx([0, 0, 40, 30])
    ]  # fmt: skip
    assert "segmentation" not in annotations(found)[0]
    assert [a["category_id"] for a in annotations(found)] == [2, 1]
    assert found.parts["train"].class_names == ["cat", "guide dog"]
    assert annotations(found)[0]["source"].endswith("project.json: task 7: rectanglelabels r1")


def test_a_box_turns_about_its_upper_left_corner(tmp_path: Path, pictures: Pictures) -> None:
    # From (20, 6), 10 wide and 3 high; a quarter clockwise it hangs down and to the left.
    found = make(tmp_path, pictures, task(rectangle("cat", 50, 20, 25, 10, angle=90)))
    assert annotations(found)[0]["bbox"] == pytest.approx([17, 6, 3, 10])
    assert annotations(found)[0]["segmentation"] == [pytest.approx([20, 6, 20, 16, 17, 16, 17, 6])]


def test_polygons_and_ellipses(tmp_path: Path, pictures: Pictures) -> None:
    points = [[25, 10], [50, 10], [50, 50]]
    polygon = {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["cat"]}}
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "ellipselabels": ["cat"]}
    ellipse = {"type": "ellipselabels", "value": value}
    found = annotations(make(tmp_path, pictures, task({**polygon, **SIZE}, {**ellipse, **SIZE})))
    assert found[0]["segmentation"] == [pytest.approx([10, 3, 20, 3, 20, 15])]
    assert found[1]["bbox"] == pytest.approx([10, 12, 20, 6])


def test_a_label_that_stands_beside_its_region(tmp_path: Path, pictures: Pictures) -> None:
    value = {"x": 25, "y": 10, "width": 50, "height": 20, "rotation": 0}
    region = {"id": "r1", "type": "rectangle", "value": value, **SIZE}
    label = {"id": "r1", "type": "labels", "value": {**value, "labels": ["cat"]}, **SIZE}
    (found,) = annotations(make(tmp_path, pictures, task(region, label)))
    assert found["bbox"] == pytest.approx([10, 3, 20, 6])


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0123abcd-a.jpg", "a.jpg"),
        ("/data/upload/1/0123abcd-a.jpg", "images/0123abcd-a.jpg"),
        ("/data/local-files/?d=sub%20folder/a.jpg", "sub folder/a.jpg"),
        ("https://bucket.example/path/a.jpg?token=x.y", "images/a.jpg"),
        ("s3://bucket/path/a.jpg", "a.jpg"),
        ("a.jpg", "a.jpg"),
    ],
)
def test_where_the_image_is(address: str, file: str, tmp_path: Path, pictures: Pictures) -> None:
    made = task(rectangle("cat", 1, 1, 5, 5), image=address)
    found = make(tmp_path, pictures, made, file=file)
    assert found.parts["train"].files == [tmp_path / file]


def test_of_several_people_one_counts(tmp_path: Path, pictures: Pictures) -> None:
    given = [
        {"result": [rectangle("dog", 1, 1, 5, 5)], "was_cancelled": True},
        {"result": [rectangle("cat", 1, 1, 5, 5)]},
        {"result": [rectangle("fox", 1, 1, 5, 5)], "ground_truth": True},
    ]
    found = make(tmp_path, pictures, task(annotations=given))
    assert found.parts["train"].class_names == ["fox"]
    assert found.notes == ["1 annotations of tasks are left out, as another person's counts"]


def test_no_object_is_background_and_no_annotation_is_nothing(
    tmp_path: Path, pictures: Pictures
) -> None:
    pictures(tmp_path / "b.jpg")
    given = [task(), task(annotations=[], image="b.jpg"), task(rectangle("cat", 1, 1, 5, 5))]
    found = make(tmp_path, pictures, *given)
    images = found.parts["train"].content["images"]
    assert [i["file_name"] for i in images] == ["images/a b.jpg"] * 2
    assert (images[0]["width"], images[0]["height"]) == (40, 30)
    assert found.notes[0] == "1 tasks are left out, as nobody has labelled them"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (task(rectangle("cat", 1, 1, 5, 5), image="none.jpg"), "task 7: its image none.jpg is not"),
        ({**task(rectangle("cat", 1, 1, 5, 5)), "data": {"text": "x"}}, "task 7 names no image"),
        (task({"id": "r", "type": "brushlabels", "value": {}}), "brushlabels r is a mask of a"),
        (task({**rectangle("cat", 1, 1, 5, 5), "original_width": None}), "r1 cannot be read"),
        (task({**rectangle("cat", 1, 1, 5, 5), "value": {}}), "rectanglelabels r1 has no label"),
    ],
)
def test_bad_tasks_are_named(given: dict, fault: str, tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(UserError, match=fault):
        make(tmp_path, pictures, given)


def test_two_tasks_of_one_image(tmp_path: Path, pictures: Pictures) -> None:
    whole = rectangle("cat", 0, 0, 100, 100)
    tasks = [task(whole, image=f"/data/upload/{n}/a.jpg") | {"id": n} for n in (1, 2)]
    with pytest.raises(UserError, match=r"task 1 and .*task 2 both label .*images/a\.jpg"):
        make(tmp_path, pictures, *tasks, file="images/a.jpg")
    pictures(tmp_path / "1" / "a.jpg", tmp_path / "2" / "a.jpg")
    (tmp_path / "images" / "a.jpg").unlink()
    names = [i["file_name"] for i in read_folder(tmp_path).parts["train"].content["images"]]
    assert names == ["1/a.jpg", "2/a.jpg"]
