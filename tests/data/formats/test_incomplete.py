"""What a folder holds besides the data that are read: annotation files that are empty or cut off,
images without annotations, labels without images.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import read_folder
from hdetr_d2.data.formats.finding import tell
from hdetr_d2.data.formats.incomplete import incomplete
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def coco(folder: Path, pictures: Pictures) -> Path:
    """Returns the annotation file of the validation images."""
    for split in ("train", "val"):
        image = {"id": 1, "file_name": "a.png", "width": 40, "height": 30}
        shape = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 10]}
        categories = [{"id": 1, "name": "cat"}]
        content = {"images": [image], "annotations": [shape], "categories": categories}
        path = write(folder / split / "objects.json", json.dumps(content))
        pictures(folder / split / "a.png")
    return path


def labelme(folder: Path, pictures: Pictures) -> Path:
    for name in ("a", "b"):
        shape = {"label": "cat", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
        content = {"shapes": [shape], "imagePath": f"{name}.png"}
        path = write(folder / f"{name}.json", json.dumps(content))
        pictures(folder / f"{name}.png")
    return path


def voc(folder: Path, pictures: Pictures) -> Path:
    text = f"<annotation><object><name>cat</name>{BOX}</object></annotation>"
    for name in ("a", "b"):
        path = write(folder / f"{name}.xml", text)
        pictures(folder / f"{name}.png")
    return path


@pytest.mark.parametrize("make", [coco, labelme, voc], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("left", "fault"),
    [(0, "is empty"), (30, "ends in the middle"), (None, r"cannot be read: .* `git lfs pull`")],
    ids=["empty", "cut", "pointer"],
)
def test_an_incomplete_file_is_named(
    make: Callable[..., Path], left: int | None, fault: str, tmp_path: Path, pictures: Pictures
) -> None:
    path = make(tmp_path, pictures)
    path.write_text(POINTER if left is None else path.read_text()[:left])
    with pytest.raises(UserError, match=f"^{path} {fault}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"), [("", "is empty"), ('{"images": [', "ends in the middle")]
)
def test_it_is_named_where_there_is_no_other(text: str, fault: str, tmp_path: Path) -> None:
    path = write(tmp_path / "train.json", text)
    with pytest.raises(UserError, match=f"known here: {path} {fault} "):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{}", " [1]\n", "\ufeff{}\r\n", "{" + " " * 5000 + "}" + "\n" * 100, "a note of somebody"],
)
def test_whole_files(text: str, tmp_path: Path) -> None:
    write(tmp_path / "a.json", text)
    assert incomplete(tmp_path, ".json") is None


def test_files_of_another_format_may_be_empty(tmp_path: Path, pictures: Pictures) -> None:
    voc(tmp_path, pictures)
    write(tmp_path / "notes.json", "")
    assert len(read_folder(tmp_path).parts["train"].content["images"]) == 2


def test_images_that_no_annotation_names_are_counted(tmp_path: Path, pictures: Pictures) -> None:
    coco(tmp_path, pictures)
    assert read_folder(tmp_path).notes == []
    pictures(tmp_path / "train" / "b.png", tmp_path / "more" / "c.png")
    assert read_folder(tmp_path).notes == [
        "images left out, as the annotations do not name them: 2 (more/c.png, train/b.png)"
    ]


@pytest.mark.parametrize("place", ["images/train", "pictures"])
def test_labels_without_an_image(
    place: str, tmp_path: Path, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "data.yaml", f"train: {place}\nnames: [cat]\n")
    labels = tmp_path / place.replace("images", "labels")
    pictures(tmp_path / place / "a.png")
    write(tmp_path / place / "b.HEIC", "")
    for name in ("a", "b", "c"):
        write(labels / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    write(labels / "empty.txt", "")
    write(labels / "classes.txt", "cat\n")
    found = read_folder(tmp_path)
    names = [(labels / name).relative_to(tmp_path).as_posix() for name in ("b.txt", "c.txt")]
    sentence = f"2 label files have no image, and do not count: {', '.join(names)}"
    assert found.losses == [sentence]
    with caplog.at_level(logging.WARNING, logger="hdetr_d2"):
        tell(found)
    assert caplog.messages == [f"{tmp_path}: {sentence}"]


def test_labels_of_images_that_a_list_leaves_out(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "data.yaml", "train: list.txt\nnames: [cat]\n")
    write(tmp_path / "list.txt", "images/a.png\n")
    for name in ("a", "b"):
        pictures(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    found = read_folder(tmp_path)
    assert found.losses == []
    assert found.notes == ["images left out, as the annotations do not name them: 1 (images/b.png)"]
