"""An image that cannot be read, in formats that leave its size to the file: it is named, as one of
COCO is, and the others are used where they may be.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog

from hdetr_d2.commands import check_data
from hdetr_d2.data import register_datasets
from hdetr_d2.data.formats import read_folder
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
Log = pytest.LogCaptureFixture
Console = pytest.CaptureFixture[str]
STEMS = ("frame_000000", "frame_000001", "frame_000002")
BROKEN = Path("images/train/frame_000001.png")
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
SKIP = {name: {"on_bad_image": "skip"} for name in ("train", "test")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def yolo(folder: Path) -> None:
    for stem in STEMS:
        write(folder / "labels" / "train" / f"{stem}.txt", "0 0.5 0.5 0.5 0.5")
    write(folder / "data.yaml", "train: images/train\nval: images/val\nnames: [cat]\n")
    write(folder / "labels" / "val" / "v.txt", "0 0.5 0.5 0.5 0.5")


def voc(folder: Path) -> None:
    text = f"<annotation><object><name>cat</name>{BOX}</object></annotation>"
    for stem in STEMS:
        write(folder / "images" / "train" / f"{stem}.xml", text)
    write(folder / "images" / "val" / "v.xml", text)


def cvat(folder: Path) -> None:
    boxes = "".join(
        f'<box frame="{frame}" outside="0" xtl="1" ytl="1" xbr="9" ybr="9"/>' for frame in range(3)
    )
    text = f'<annotations><track id="0" label="cat">{boxes}</track></annotations>'
    write(folder / "images" / "train" / "annotations.xml", text)
    size = 'width="40" height="30"'
    box = '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/>'
    image = f'<image id="0" name="v.png" subset="val" {size}>{box}</image>'
    write(folder / "annotations.xml", f"<annotations>{image}</annotations>")


@pytest.fixture(params=[yolo, voc, cvat], ids=lambda make: make.__name__)
def folder(request: pytest.FixtureRequest, tmp_path: Path, pictures: Pictures) -> Path:
    request.param(tmp_path)
    pictures(*(tmp_path / "images" / "train" / f"{stem}.png" for stem in STEMS))
    pictures(tmp_path / "images" / "val" / "v.png")
    (tmp_path / BROKEN).write_text("no image")
    return tmp_path


def data(folder: Path) -> dict:
    return {"train_name": "mine_train", "val_name": "mine_val", "folder": str(folder)}


def test_it_is_read_without_a_size(folder: Path) -> None:
    content = read_folder(folder).parts["train"].content
    names = [image["file_name"] for image in content["images"] if "width" not in image]
    assert names == [str(BROKEN)]
    assert [image.get("height") for image in content["images"]] == [30, None, 30]


def test_a_training_stops_or_goes_on_without(folder: Path, caplog: Log) -> None:
    fault = rf"1 of 3 images of .* cannot be read: {folder / BROKEN} \(its format is unknown\)"
    with pytest.raises(UserError, match=rf"{fault}; .*train\.on_bad_image=skip"):
        register_datasets(data(folder))
    with caplog.at_level(logging.WARNING, logger="hdetr_d2"):
        assert register_datasets(data(folder), SKIP).num_train_images == 2
    assert f"{folder / BROKEN} (its format is unknown); they are skipped" in caplog.text
    files = [Path(entry["file_name"]).stem for entry in DatasetCatalog.get("mine_train")]
    assert files == [STEMS[0], STEMS[2]]


def test_check_data_names_it_once(folder: Path, capsys: Console) -> None:
    assert check_data.main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    (error,) = (line for line in lines if line.startswith("error: "))
    assert f"{folder / BROKEN} cannot be read as an image" in error


def test_a_reason_is_told(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    (folder / BROKEN).write_text(pointer)
    with pytest.raises(
        UserError, match=r"\(it is a pointer .* `git lfs pull` fetches the file itself\)"
    ):
        register_datasets(data(folder))


def test_all_images_are_too_many(tmp_path: Path, pictures: Pictures) -> None:
    yolo(tmp_path)
    pictures(tmp_path / "images" / "val" / "v.png")
    for stem in STEMS:
        write(tmp_path / "images" / "train" / f"{stem}.png", "no image")
    with pytest.raises(UserError, match=r"3 of 3 images of .* cannot be read: "):
        register_datasets(data(tmp_path), SKIP)


def test_an_image_that_only_a_list_names(tmp_path: Path, pictures: Pictures) -> None:
    yolo(tmp_path)
    pictures(tmp_path / "images" / "train" / f"{STEMS[0]}.png", tmp_path / "images/val/v.png")
    names = "".join(f"images/train/{stem}.png\n" for stem in STEMS)
    write(tmp_path / "train.txt", names)
    write(tmp_path / "data.yaml", "train: train.txt\nval: images/val\nnames: [cat]\n")
    fault = r"2 of 3 images .* cannot be read: .*, .*02\.png \(the first: it does not exist\); "
    with pytest.raises(UserError, match=fault):
        register_datasets(data(tmp_path))
