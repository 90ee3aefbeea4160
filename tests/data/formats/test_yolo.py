"""YOLO's folders: where images and labels are, and what a line says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
NAMES = "names: [cat, 'guide dog']\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make(
    folder: Path,
    pictures: Pictures,
    *lines: str,
    spec: str = f"train: images/train\n{NAMES}",
    place: str = "train",
) -> Found:
    """A folder with one image of 40 x 30, read."""
    write(folder / "data.yaml", spec)
    write(folder / "labels" / place / "a.txt", "\n".join(lines))
    pictures(folder / "images" / place / "a.jpg")
    return read_folder(folder)


def annotations(found: Found, split: str = "train") -> list[dict]:
    return found.parts[split].content["annotations"]


def test_a_box_is_its_centre_in_fractions(tmp_path: Path, pictures: Pictures) -> None:
    found = make(tmp_path, pictures, "1 0.5 0.5 0.25 0.2", "", "0 0.1 0.2 0.2 0.4")
    first, second = annotations(found)
    assert first["bbox"] == pytest.approx([15, 12, 10, 6])
    assert second["bbox"] == pytest.approx([0, 0, 8, 12])
    assert (first["category_id"], second["category_id"]) == (2, 1)
    assert first["source"].endswith("labels/train/a.txt, line 1")
    assert second["source"].endswith("labels/train/a.txt, line 3")
    assert found.parts["train"].class_names == ["cat", "guide dog"]
    (image,) = found.parts["train"].content["images"]
    assert image == {"id": 1, "file_name": "images/train/a.jpg", "width": 40, "height": 30}


def test_a_polygon_is_a_mask_with_its_box(tmp_path: Path, pictures: Pictures) -> None:
    (found,) = annotations(make(tmp_path, pictures, "0 0.25 0.1 0.5 0.1 0.5 0.5"))
    assert found["segmentation"] == [pytest.approx([10, 3, 20, 3, 20, 15])]
    assert found["bbox"] == pytest.approx([10, 3, 10, 12])
    assert found["area"] == pytest.approx(60)


def test_a_box_beyond_its_image_stays_for_the_reader_to_clip(
    tmp_path: Path, pictures: Pictures
) -> None:
    (found,) = annotations(make(tmp_path, pictures, "0 0.05 0.5 0.2 0.2"))
    assert found["bbox"] == pytest.approx([-2, 12, 8, 6])


def test_key_points_are_left_out(tmp_path: Path, pictures: Pictures) -> None:
    spec = f"train: images/train\nkpt_shape: [2, 3]\n{NAMES}"
    line = "0 0.5 0.5 0.25 0.2 0.4 0.4 2 0.6 0.6 1"
    (found,) = annotations(make(tmp_path, pictures, line, spec=spec))
    assert found["bbox"] == pytest.approx([15, 12, 10, 6])


def test_images_without_labels_are_background(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "images" / "train" / "b.png")
    write(tmp_path / "labels" / "train" / "c.txt", "")
    pictures(tmp_path / "images" / "train" / "c.png")
    found = make(tmp_path, pictures, "1 0.5 0.5 0.25 0.2")
    assert [i["file_name"][-5:] for i in found.parts["train"].content["images"]] == [
        "a.jpg", "b.png", "c.png"
    ]  # fmt: skip
    assert [a["image_id"] for a in annotations(found)] == [1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("names: [cat, dog]\nnc: 2\n", ["cat", "dog"]),
        ("names:\n  1: dog\n  0: cat\n", ["cat", "dog"]),
        ("names:\n- yes\n- no\n", ["yes", "no"]),  # words, not true and false
        ("names: [1, 2.0]\n", ["1", "2.0"]),
        ("names: ['guide dog', 猫]\n", ["guide dog", "猫"]),
        ("nc: 2\n", ["class_0", "class_1"]),
    ],
)
def test_names_of_classes(
    names: str, expected: list[str], tmp_path: Path, pictures: Pictures
) -> None:
    found = make(tmp_path, pictures, "1 0.5 0.5 0.1 0.1", spec=f"train: images/train\n{names}")
    assert found.parts["train"].class_names == expected
    assert annotations(found)[0]["category_id"] == 2


@pytest.mark.parametrize(
    "spec",
    [
        "train: images/train",
        "train: [images/train]",
        "path: .\ntrain: images/train",
        "path: /content/elsewhere\ntrain: images/train",  # of another machine
        "path: {folder}\ntrain: images/train",
        "path: ../datasets/mine\ntrain: images/train",
        "train: ../images/train",  # Roboflow's
        "train: {folder}/images/train",
        "train: list.txt",
        "train: images\\train",
    ],
)
def test_where_the_images_are(spec: str, tmp_path: Path, pictures: Pictures) -> None:
    folder = tmp_path / "mine"
    write(folder / "list.txt", "./images/train/a.jpg\n\n")
    spec = f"{spec}\nval:\n{NAMES}".replace("{folder}", str(folder))
    found = make(folder, pictures, "1 0.5 0.5 0.1 0.1", spec=spec)
    assert list(found.parts) == ["train"]
    assert found.parts["train"].content["images"][0]["file_name"] == "images/train/a.jpg"
    assert len(annotations(found)) == 1


def test_the_last_folder_of_images_is_that_of_labels(tmp_path: Path, pictures: Pictures) -> None:
    folder = tmp_path / "images" / "mine"
    found = make(folder, pictures, "1 0.5 0.5 0.1 0.1")
    assert annotations(found)[0]["source"] == f"{folder}/labels/train/a.txt, line 1"


@pytest.mark.parametrize("place", ["pictures", "images/mine"])
def test_labels_beside_the_images(place: str, tmp_path: Path, pictures: Pictures) -> None:
    folder = tmp_path / "mine"
    pictures(folder / place / "a.b.jpg")
    write(folder / place / "a.b.txt", "0 0.5 0.5 0.1 0.1")
    write(folder / "data.yaml", f"train: {place}\n{NAMES}")
    assert len(annotations(read_folder(folder))) == 1


def test_roboflow_names_a_validation_folder_that_it_has_not_written(
    tmp_path: Path, pictures: Pictures
) -> None:
    spec = f"train: images/train\nval: ../valid/images\n{NAMES}"
    found = make(tmp_path, pictures, "1 0.5 0.5 0.1 0.1", spec=spec)
    assert found.notes == ["val: ../valid/images of data.yaml does not exist"]


def test_an_export_of_label_studio(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "classes.txt", "cat\ndog\n")
    write(tmp_path / "notes.json", '{"categories": [{"id": 0, "name": "cat"}]}')
    write(tmp_path / "labels" / "a.txt", "1 0.5 0.5 0.1 0.1")
    pictures(tmp_path / "images" / "a.jpg")
    found = read_folder(tmp_path)
    assert (found.format, found.mark) == ("YOLO", "classes.txt")
    assert annotations(found)[0]["category_id"] == 2


def test_folders_of_an_export_tell_the_splits(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "classes.txt", "cat\n")
    # The name of an image is no name of a split.
    places = ["train/val_01", "train/b", "valid/c", "test/d", "test/train_02", "e"]
    for place in places:
        write(tmp_path / "labels" / f"{place}.txt", "0 0.5 0.5 0.1 0.1")
        pictures(tmp_path / "images" / f"{place}.jpg")
    parts = read_folder(tmp_path).parts
    names = {
        split: {str(file.relative_to(tmp_path / "images")) for file in part.files}
        for split, part in parts.items()
    }
    assert names == {
        "train": {"e.jpg", "train/b.jpg", "train/val_01.jpg"},
        "val": {"valid/c.jpg"},
        "test": {"test/d.jpg", "test/train_02.jpg"},
    }
    assert [len(part.content["annotations"]) for part in parts.values()] == [3, 1, 2]


def test_test_images_may_lack_all_labels(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "images" / "test" / "b.jpg")
    spec = f"train: images/train\ntest: images/test\n{NAMES}"
    found = make(tmp_path, pictures, "1 0.5 0.5 0.1 0.1", spec=spec)
    assert len(found.parts["test"].content["images"]) == 1
    assert len(annotations(found, "train")) == 1
    assert annotations(found, "test") == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt, line 1: class 2, but there are 0\.\.1"),
        ("0.5 0.5 0.5 0.1 0.1", r"class 0\.5, but"),
        ("0 0.5 0.5 0.1", "4 numbers, which are neither a box"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 numbers, which are neither a box"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.3 0.4", "8 numbers, which"),
        ("0 0.5 0.5 nan 0.1", "fractions of the image, and nan is none"),
        ("0 0.5 -3 0.1 0.1", "fractions of the image, and -3.0 is none"),
        ("0 20 15 10 6", "fractions of the image, and 20.0 is none"),
        ("cat 0.5 0.5 0.1 0.1", "'cat 0.5 0.5 0.1 0.1' is not all numbers"),
    ],
)
def test_bad_lines_are_named(line: str, fault: str, tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(UserError, match=fault):
        make(tmp_path, pictures, line)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("names: [cat", r"data\.yaml is not valid YAML: while parsing"),
        ("names: [cat]\nnc: 2\ntrain: images/train\n", "has nc=2, and 1 names"),
        ("names: {a: cat}\ntrain: images/train\n", "tell no classes"),
        ("names: [cat, cat]\ntrain: images/train\n", "several classes have the name 'cat'"),
        ("names: [cat]\n", "names no images to train on"),
        ("names: [cat]\ntrain: images/none\n", "train: images/none does not exist"),
    ],
)
def test_bad_yaml_files_are_named(
    spec: str, fault: str, tmp_path: Path, pictures: Pictures
) -> None:
    with pytest.raises(UserError, match=fault):
        make(tmp_path, pictures, "0 0.5 0.5 0.1 0.1", spec=spec)


def test_no_label_file_at_all_is_a_mistake(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "data.yaml", f"train: images\n{NAMES}")
    pictures(tmp_path / "images" / "a.jpg", tmp_path / "images" / "b.jpg")
    with pytest.raises(UserError, match=r"none of 2 images has a label file: .*labels/a\.txt"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("files", "lack"),
    [
        (
            {"data.yaml": "train:\timages\n\tnames: [a]"},
            "its data.yaml has no line that begins with",
        ),
        ({"data.yml": ""}, "its data.yml has no line that begins with names: or nc:"),
        (
            {"labels/a.txt": "0 .5 5e-1 0.25 1\n"},
            "labels/a.txt looks like labels of YOLO, which need",
        ),
        ({"a.txt": "3 0.1 0.1 0.2 0.2 0.3 0.1\n"}, "a.txt looks like labels of YOLO, which need a"),
    ],
)
def test_what_a_folder_lacks_is_said(files: dict[str, str], lack: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"that is known here: {lack}"):
        read_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a text", b"0 0.5 0.5 0.5", b"\xff\xfe0\x00"])
def test_other_texts_lack_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"that is known here \(COCO: a json"):
        read_folder(tmp_path)


def test_a_split_without_images_is_told(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "images" / "val" / "a.heic", "")
    spec = f"train: images/train\nval: images/val\n{NAMES}"
    found = make(tmp_path, pictures, "0 0.5 0.5 0.1 0.1", spec=spec)
    assert (list(found.parts), found.notes) == (
        ["train"], ["val: images/val of data.yaml has no images"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "images", "labels"),
    [
        ("classes.txt", "", ""),
        ("labels/classes.txt", "images", "labels"),
        ("labels/classes.txt", "images/val", "labels/val"),
    ],
)
def test_label_img(
    names: str, images: str, labels: str, tmp_path: Path, pictures: Pictures
) -> None:
    write(tmp_path / names, "cat\nguide dog\n")
    pictures(tmp_path / images / "a.jpg")
    write(tmp_path / labels / "a.txt", "1 0.5 0.5 0.25 0.2\n")
    found = read_folder(tmp_path)
    assert (found.format, found.mark) == ("YOLO", names)
    (part,) = found.parts.values()
    assert part.class_names == ["cat", "guide dog"]
    assert [each["category_id"] for each in part.content["annotations"]] == [2]
    assert list(found.parts) == ["val" if images.endswith("val") else "train"]


def test_a_list_of_classes_alone_is_no_mark(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "classes.txt", "cat\n")
    write(tmp_path / "notes.txt", "3 photographs\n")
    pictures(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="no data in a format that is known"):
        read_folder(tmp_path)


def test_a_draft_of_labels_lacks_its_images(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "classes.txt", "cat\n")
    write(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.25 0.2\n")
    pictures(tmp_path / "a.jpg")
    with pytest.raises(UserError, match=f"{tmp_path} has labels/ and no images/, where"):
        read_folder(tmp_path)


def test_a_yaml_further_down_is_named(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path / "export", pictures, "0 0.5 0.5 0.25 0.2")
    (tmp_path / "export" / "latin.yaml").write_bytes(b"place: Z\xfcrich\n")
    fault = f"a data set of YOLO is in {tmp_path / 'export'}: give that folder"
    with pytest.raises(UserError, match=fault):
        read_folder(tmp_path)
