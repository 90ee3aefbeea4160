"""Tables of boxes: which columns there may be, fractions, splits, and what is no such table."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.formats import Found, read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
ROBOFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax"


def make(folder: Path, pictures: Pictures, text: str, file: str = "boxes.csv") -> Found:
    pictures(folder / "a.jpg", folder / "b.jpg")
    (folder / file).write_text(text, encoding="utf-8")
    return read_folder(folder)


def boxes(found: Found, split: str = "train") -> list[tuple[str, str, list[float], int]]:
    content = found.parts[split].content
    files = {each["id"]: each["file_name"] for each in content["images"]}
    names = {each["id"]: each["name"] for each in content["categories"]}
    return [
        (files[each["image_id"]], names[each["category_id"]], each["bbox"], each["iscrowd"])
        for each in content["annotations"]
    ]


def test_boxes_of_an_image_are_in_several_rows(tmp_path: Path, pictures: Pictures) -> None:
    rows = ["a.jpg,40,30,dog,1,2,4,8", "b.jpg,40,30,cat,0,0,40,30", "a.jpg,40,30,cat,10,10.5,12,14"]
    found = make(tmp_path, pictures, "\n".join([ROBOFLOW, *rows]))
    assert boxes(found) == [
        ("a.jpg", "dog", [1, 2, 3, 6], 0),
        ("a.jpg", "cat", [10, 10.5, 2, 3.5], 0),
        ("b.jpg", "cat", [0, 0, 40, 30], 0),
    ]
    assert (found.format, found.mark, found.notes) == ("csv", "boxes.csv", [])
    assert found.parts["train"].class_names == ["cat", "dog"]
    sources = [each["source"] for each in found.parts["train"].content["annotations"]]
    assert sources[1] == f"{tmp_path / 'boxes.csv'}: line 4 (cat)"


@pytest.mark.parametrize(
    "text",
    [
        '"image","xmin","ymin","xmax","ymax","label"\n"a.jpg",1.0,2.0,4.0,8.0,"big, dog"',
        "a.jpg,1,2,4,8,\"big, dog\"\nb.jpg,,,,,",
        "a.jpg,1,2,4,8,\"big, dog\"",
        "b.jpg,,,,,\na.jpg,1,2,4,8,\"big, dog\"",
        "\ufeffImage Path;Category ID;Category Name;Left;Top;Right;Bottom\r\n"
        "C:\\data\\a.jpg; 3 ;big, dog;1;2;4;8\r\n\r\n",
        "file_name\tclass\tX_Max\tX_Min\tY_Max\tY_Min\na\tbig, dog\t4\t1\t8\t2",
    ],
    ids=["VoTT", "RetinaNet", "RetinaNet, one row", "RetinaNet, none first", "spelling", "tabs"],
)  # fmt: skip
def test_columns_are_known(text: str, tmp_path: Path, pictures: Pictures) -> None:
    assert boxes(make(tmp_path, pictures, text)) == [("a.jpg", "big, dog", [1, 2, 3, 6], 0)]


def test_open_images_has_fractions_and_groups(tmp_path: Path, pictures: Pictures) -> None:
    text = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf
a,xclick,/m/01yrx,1,0.1,0.5,0.2,0.6,0,0
a,xclick,/m/0bt9lr,1,0.000000,1.000000,0.5,1.000000,0,1
"""
    found = make(tmp_path, pictures, text, "validation-annotations-bbox.csv")
    cat, dogs = boxes(found, "val")
    assert cat == ("a.jpg", "/m/01yrx", pytest.approx([4, 6, 16, 12]), 0)
    assert dogs == ("a.jpg", "/m/0bt9lr", [0, 15, 40, 15], 1)
    assert found.notes[0] == "corners are fractions of the image's size, as none is beyond 1"


def test_fractions_of_an_image_that_cannot_be_read(tmp_path: Path, pictures: Pictures) -> None:
    (tmp_path / "c.jpg").write_bytes(b"no image")
    rows = ["c.jpg,0.1,0.2,0.3,0.4,cat", "d.jpg,0.1,0.2,0.3,0.4,cat", "a.jpg,0,0,1,1,cat"]
    found = make(tmp_path, pictures, "\n".join(rows))
    assert boxes(found) == [("a.jpg", "cat", [0, 0, 40, 30], 0)]
    images = found.parts["train"].content["images"]
    assert [each["file_name"] for each in images] == ["c.jpg", "d.jpg", "a.jpg"]


def test_a_row_without_a_box_is_an_image_without_objects(
    tmp_path: Path, pictures: Pictures
) -> None:
    found = make(tmp_path, pictures, f"{ROBOFLOW}\na.jpg,40,30,cat,1,2,4,8\nb.jpg,40,30,,,,,\n")
    assert [each["file_name"] for each in found.parts["train"].content["images"]] == [
        "a.jpg", "b.jpg"
    ]  # fmt: skip
    assert len(boxes(found)) == 1


@pytest.mark.parametrize("names", [("train_labels.csv", "test_labels.csv"), ("valid/_.csv",)])
def test_names_of_tables_and_folders_tell_the_split(
    names: tuple[str, ...], tmp_path: Path, pictures: Pictures
) -> None:
    for name, image in zip(names, "ab", strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pictures(tmp_path / "images" / f"{image}.jpg")
        (tmp_path / name).write_text(f"{ROBOFLOW}\n{image}.jpg,40,30,cat,1,2,4,8\n")
    wanted = {"train_labels.csv": ["train", "test"], "valid/_.csv": ["val"]}[names[0]]
    assert [*read_folder(tmp_path).parts] == wanted


def test_a_column_tells_the_split(tmp_path: Path, pictures: Pictures) -> None:
    header = "set,path,label,x_min,y_min,x_max,y_max\n"
    rows = "TRAIN,a.jpg,cat,1,2,4,8\nVALIDATION,b.jpg,cat,1,2,4,8\n"
    found = make(tmp_path, pictures, header + rows, "test.csv")
    assert {name: len(part.content["images"]) for name, part in found.parts.items()} == {
        "train": 1, "val": 1
    }  # fmt: skip
    with pytest.raises(UserError, match=r"test\.csv: .*a\.jpg is in several splits, TRAIN, TEST"):
        make(tmp_path, pictures, f"{header}{rows}TEST,a.jpg,cat,2,2,4,8\n", "test.csv")
    with pytest.raises(UserError, match=r"line 2 \(cat\): the split 'UNASSIGNED' is none of train"):
        make(tmp_path, pictures, f"{header}UNASSIGNED,a.jpg,cat,2,2,4,8\n", "test.csv")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a.jpg,40,30,cat,1,2,4", r"boxes\.csv: line 2 has only 7 cells"),
        ("a.jpg,40,30,cat,1,two,4,8", r"line 2 \(cat\): ymin is 'two', and must be a number"),
        ("a.jpg,40,30,cat,1,,4,8", r"line 2 \(cat\): ymin is '', and must be a number"),
        ("a.jpg,40,30,,1,2,4,8", r"boxes\.csv: line 2 has a box without a class"),
        (",40,30,cat,1,2,4,8", r"line 2 \(cat\) names no image"),
        ("a.jpg,wide,30,cat,1,2,4,8", r"line 2 \(cat\): width is 'wide', and must be a number"),
    ],
)
def test_a_wrong_row_is_one_sentence(
    row: str, sentence: str, tmp_path: Path, pictures: Pictures
) -> None:
    with pytest.raises(UserError, match=sentence):
        make(tmp_path, pictures, f"{ROBOFLOW}\n{row}\n")


def test_two_tables_of_one_image_are_one_sentence(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path, pictures, f"{ROBOFLOW}\na.jpg,40,30,cat,1,2,4,8\n", "all.csv")
    with pytest.raises(UserError, match=r"all\.csv and .*train\.csv both label .*a\.jpg"):
        make(tmp_path, pictures, f"{ROBOFLOW}\na.jpg,40,30,cat,1,2,4,8\n", "train.csv")


def test_predictions_are_nothing_to_learn_from(tmp_path: Path, pictures: Pictures) -> None:
    text = "file_name,category_name,score,x_min,y_min,x_max,y_max\na.jpg,cat,0.5,1,2,4,8\n"
    with pytest.raises(UserError, match=r"here: boxes\.csv is a table of predictions, as its box"):
        make(tmp_path, pictures, text)
    with pytest.raises(UserError, match=r"line 2 \(cat\) has the confidence 0\.5: it is a predic"):
        make(tmp_path, pictures, text.replace("score", "confidence"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"a,b\n", b'"', b"x\0,y"])
def test_another_csv_is_no_table_of_boxes(
    content: bytes, tmp_path: Path, pictures: Pictures
) -> None:
    pictures(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"known here: list\.csv is a table without columns for im"):
        read_folder(tmp_path)
