"""Pascal VOC's xml: layouts, from which number pixels count, and what is difficult."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]


def thing(name: str, *box: object, more: str = "") -> str:
    x1, y1, x2, y2 = box
    edges = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def write(path: Path, *objects: str, size: tuple[int, int] = (40, 30), name: str = "a.jpg") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    text = f"<annotation><filename>{name}</filename>{sides}{''.join(objects)}</annotation>"
    path.write_text(text, encoding="utf-8")


def make(folder: Path, pictures: Pictures, *objects: str, **options: object) -> Found:
    """The folders of the challenge with one image, read."""
    write(folder / "Annotations" / "a.xml", *objects, **options)
    pictures(folder / "JPEGImages" / "a.jpg")
    return read_folder(folder)


def annotations(found: Found) -> list[dict]:
    return found.parts["train"].content["annotations"]


def test_pixels_count_from_1_and_the_last_one_belongs_to_the_box(
    tmp_path: Path, pictures: Pictures
) -> None:
    found = make(tmp_path, pictures, thing("cat", 1, 1, 40, 30), thing("dog", 11, 6, 20, 25))
    whole, dog = annotations(found)
    assert whole["bbox"] == [0, 0, 40, 30]
    assert dog["bbox"] == [10, 5, 10, 20]
    assert found.notes == ["pixels count from 1, as the format says"]
    assert found.parts["train"].class_names == ["cat", "dog"]
    assert dog["source"].endswith("Annotations/a.xml: object 2 (dog)")


def test_a_box_at_0_says_that_its_data_set_counts_from_there(
    tmp_path: Path, pictures: Pictures
) -> None:
    found = make(tmp_path, pictures, thing("cat", 0, 3, 40, 30), thing("dog", 10.5, 5, 20, 25))
    assert [a["bbox"] for a in annotations(found)] == [[0, 3, 40, 27], [10.5, 5, 9.5, 20]]
    assert found.notes == ["pixels count from 0, as a box begins at 0"]


def test_difficult_objects_are_neither_learned_nor_counted(
    tmp_path: Path, pictures: Pictures
) -> None:
    marks = [f"<difficult>{value}</difficult>" for value in (0, 1)]
    things = [thing("cat", 1, 1, 9, 9, more=mark) for mark in (*marks, "")]
    assert [a["iscrowd"] for a in annotations(make(tmp_path, pictures, *things))] == [0, 1, 0]


def test_parts_of_objects_are_no_boxes(tmp_path: Path, pictures: Pictures) -> None:
    edges = "<xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax>"
    part = f"<part><name>head</name><bndbox>{edges}</bndbox></part>"
    (found,) = annotations(make(tmp_path, pictures, thing("cat", 1, 1, 9, 9, more=part)))
    assert found["bbox"] == [0, 0, 9, 9]


def test_lists_of_the_challenge_tell_the_splits(tmp_path: Path, pictures: Pictures) -> None:
    folder, names = tmp_path / "VOC2007", ("a", "b", "c d", "e")
    for name in names:
        write(folder / "Annotations" / f"{name}.xml", thing("cat", 1, 1, 9, 9))
        pictures(folder / "JPEGImages" / f"{name}.jpg")
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nc d\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "cat_train.txt").write_text("e 1\n")
    found = read_folder(tmp_path)
    images = {
        split: [Path(image["file_name"]).stem for image in part.content["images"]]
        for split, part in found.parts.items()
    }
    assert images == {"train": ["a", "c d"], "val": ["b"]}
    assert found.notes[1] == "1 xml files are left out, which no list in ImageSets names"


def test_xml_beside_the_images_in_folders_of_splits(tmp_path: Path, pictures: Pictures) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / split / "a.xml", thing("cat", 1, 1, 9, 9))
        pictures(tmp_path / split / "a.jpg")
    found = read_folder(tmp_path)
    assert [part.files for part in found.parts.values()] == [
        [tmp_path / split / "a.jpg"] for split in ("train", "valid", "test")
    ]


def test_the_name_of_the_xml_counts_more_than_what_stands_in_it(
    tmp_path: Path, pictures: Pictures
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "annotations" / f"{name}.xml", thing("cat", 1, 1, 9, 9), name="a.png")
        pictures(tmp_path / "images" / f"{name}.png")
    files = read_folder(tmp_path).parts["train"].files
    assert [file.name for file in files] == ["a.png", "b.png"]


def files(found: Found) -> list[Path]:
    """Of the images of all splits, below the folder of the data."""
    return [f.relative_to(found.folder) for part in found.parts.values() for f in part.files]


def test_a_mask_of_the_same_stem_is_not_the_image(tmp_path: Path, pictures: Pictures) -> None:
    # As the pets of Oxford have it: "annotations" before "images".
    write(tmp_path / "annotations" / "xmls" / "A_0.xml", thing("cat", 1, 1, 9, 9), name="A_0.jpg")
    pictures(tmp_path / "images" / "A_0.jpg", tmp_path / "annotations" / "trimaps" / "A_0.png")
    assert files(read_folder(tmp_path)) == [Path("images/A_0.jpg")]


@pytest.mark.parametrize("name", ["", "a", "a.tif"])
def test_the_folder_of_the_challenge_is_that_of_the_images(
    name: str, tmp_path: Path, pictures: Pictures
) -> None:
    pictures(tmp_path / "Depth" / "a.png", tmp_path / "SegmentationClass" / "a.png")
    found = make(tmp_path, pictures, thing("cat", 1, 1, 9, 9), name=name)
    assert files(found) == [Path("JPEGImages/a.jpg")]


def test_each_split_has_its_own_image_of_a_name(tmp_path: Path, pictures: Pictures) -> None:
    for split in ("train", "val"):
        write(tmp_path / split / "Annotations" / "0.xml", thing("cat", 1, 1, 9, 9), name="0.jpg")
        pictures(tmp_path / split / "JPEGImages" / "0.jpg")
    expected = [Path(split) / "JPEGImages" / "0.jpg" for split in ("train", "val")]
    assert files(read_folder(tmp_path)) == expected
    (tmp_path / expected[1]).unlink()
    both = r"train/Annotations/0\.xml and .*val/Annotations/0\.xml both label .*train/JPEGImages/0"
    with pytest.raises(UserError, match=both):
        read_folder(tmp_path)


def test_folders_count_in_any_order(tmp_path: Path, pictures: Pictures) -> None:
    for split in ("train", "val"):
        write(tmp_path / "labels" / split / "0.xml", thing("cat", 1, 1, 9, 9), name="0.jpg")
        pictures(tmp_path / split / "photos" / "0.jpg")
    assert files(read_folder(tmp_path)) == [Path("train/photos/0.jpg"), Path("val/photos/0.jpg")]


def test_two_images_that_could_be_meant_are_named(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "labels" / "0.xml", thing("cat", 1, 1, 9, 9), name="0.jpg")
    first, second = (tmp_path / place / "0.jpg" for place in ("photos", "thumbs"))
    pictures(first, second)
    with pytest.raises(UserError, match=r"photos/0\.jpg and .*thumbs/0\.jpg could both be"):
        read_folder(tmp_path)
    second.write_bytes(first.read_bytes())  # a copy has the same labels
    assert files(read_folder(tmp_path)) == [Path("photos/0.jpg")]


def test_an_image_beside_its_xml_comes_before_one_below(tmp_path: Path, pictures: Pictures) -> None:
    write(tmp_path / "train" / "0.xml", thing("cat", 1, 1, 9, 9), name="0.jpg")
    pictures(tmp_path / "train" / "0.jpg", tmp_path / "train" / "cut" / "0.jpg")
    assert files(read_folder(tmp_path)) == [Path("train/0.jpg")]


def test_a_size_of_0_is_that_of_the_file(tmp_path: Path, pictures: Pictures) -> None:
    found = make(tmp_path, pictures, thing("cat", 1, 1, 9, 9), size=(0, 0))
    (image,) = found.parts["train"].content["images"]
    assert (image["width"], image["height"]) == (40, 30)


def test_an_image_without_objects_is_background(tmp_path: Path, pictures: Pictures) -> None:
    (tmp_path / "labelmap.txt").write_text(
        "# label:color:parts:actions\nbackground:0,0,0::\ncat:1:2:\n"
    )
    found = make(tmp_path, pictures)
    assert len(found.parts["train"].content["images"]) == 1
    assert annotations(found) == []
    assert found.parts["train"].class_names == ["cat"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (thing("cat", "", 1, 9, 9), r"a\.xml: object 1 \(cat\): xmin is '', and must be a number"),
        (thing("cat", 1, "x", 9, 9), r"object 1 \(cat\): ymin is 'x'"),
        (thing("cat", 1, 1, 9, "inf"), "ymax is 'inf'"),
        (thing("", 1, 1, 9, 9), "has no name"),
        ("<object><name>cat</name></object>", "has no bndbox"),
        ("<object>", "is not valid XML: mismatched tag"),
    ],
)
def test_bad_files_are_named(text: str, fault: str, tmp_path: Path, pictures: Pictures) -> None:
    with pytest.raises(UserError, match=fault):
        make(tmp_path, pictures, text)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE annotation [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    text = f"{bomb}<annotation><filename>&b;</filename></annotation>"
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UserError, match=r"a\.xml declares entities"):
        read_folder(tmp_path)
