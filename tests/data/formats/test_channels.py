"""Images of five channels in every format: found where `data.channels` says so, else a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from detectron2.data import DatasetCatalog

from hdetr_d2.commands import check_data, convert_data
from hdetr_d2.data import DetrMapper, register_datasets
from hdetr_d2.data.formats import read_folder
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import MultiChannel

# Every image is 40 pixels wide and 30 high, and has a cat from (4, 6) to (20, 18).
BOX = [4, 6, 16, 12]
SIZE = 'width="40" height="30"'
CORNERS = 'xtl="4" ytl="6" xbr="20" ybr="18"'
Console = pytest.CaptureFixture[str]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def deep(path: Path, value: int) -> None:
    """Five channels of that value."""
    pixels = np.full((5, 30, 40), value, np.uint16)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels, planarconfig="separate", photometric="minisblack")


def yolo(folder: Path, train: str, val: str) -> tuple[str, str]:
    write(folder / "data.yaml", "train: images/train\nval: images/val\nnames: [cat]\n")
    for split, name in (("train", train), ("val", val)):
        label = (folder / "labels" / split / name).with_suffix(".txt")
        write(label, "0 0.3 0.4 0.4 0.4")
    return f"images/train/{train}", f"images/val/{val}"


def yolo_by_lists(folder: Path, train: str, val: str) -> tuple[str, str]:
    places = yolo(folder, train, val)
    write(folder / "data.yaml", "train: train.txt\nval: val.txt\nnames: [cat]\n")
    for split, place in zip(("train", "val"), places, strict=True):
        write(folder / f"{split}.txt", f"{place}\n")
    return places


def voc(folder: Path, train: str, val: str) -> tuple[str, str]:
    box = "<bndbox><xmin>5</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax></bndbox>"
    for split, name in (("train", train), ("val", val)):
        text = f"<annotation><object><name>cat</name>{box}</object></annotation>"
        write((folder / "Annotations" / name).with_suffix(".xml"), text)
        write(folder / "ImageSets" / "Main" / f"{split}.txt", Path(name).stem)
    return f"JPEGImages/{train}", f"JPEGImages/{val}"


def cvat(folder: Path, train: str, val: str) -> tuple[str, str]:
    images = "".join(
        f'<image id="0" name="{name}" subset="{split}" {SIZE}><box label="cat" {CORNERS}/></image>'
        for split, name in (("train", train), ("val", val))
    )
    write(folder / "annotations.xml", f"<annotations>{images}</annotations>")
    return f"images/train/{train}", f"images/val/{val}"


def cvat_tracks(folder: Path, train: str, val: str) -> tuple[str, str]:
    box = f'<box frame="0" outside="0" {CORNERS}/>'
    track = f'<annotations><track id="0" label="cat">{box}</track></annotations>'
    for split in ("train", "val"):
        write(folder / split / "annotations.xml", track)
    return f"train/images/0{Path(train).suffix}", f"val/images/0{Path(val).suffix}"


def label_studio(folder: Path, train: str, val: str) -> tuple[str, str]:
    value = {"x": 10, "y": 20, "width": 40, "height": 40, "rectanglelabels": ["cat"]}
    result = {"id": "a", "type": "rectanglelabels", "value": value}
    for split, name in (("train", train), ("val", val)):
        shown = {**result, "original_width": 40, "original_height": 30}
        task = {"id": 1, "data": {"image": f"/data/{name}"}, "annotations": [{"result": [shown]}]}
        write(folder / f"{split}.json", json.dumps([task]))
    return train, val


def labelme(folder: Path, train: str, val: str) -> tuple[str, str]:
    shape = {"label": "cat", "shape_type": "rectangle", "points": [[4, 6], [20, 18]]}
    for split, name in (("train", train), ("val", val)):
        path = (folder / split / name).with_suffix(".json")
        write(path, json.dumps({"imagePath": name, "shapes": [shape]}))
    return f"train/{train}", f"val/{val}"


def table(folder: Path, train: str, val: str) -> tuple[str, str]:
    for split, name in (("train", train), ("val", val)):
        write(folder / f"{split}.csv", f"image,x1,y1,x2,y2,label\n{name},4,6,20,18,cat\n")
    return f"images/{train}", f"images/{val}"


def roboflow(folder: Path, train: str, val: str) -> tuple[str, str]:
    parent = {"id": 0, "name": "pets", "supercategory": "none"}
    categories = [parent, {"id": 1, "name": "cat", "supercategory": "pets"}]
    for split, name in (("train", train), ("valid", val)):
        image = {"id": 0, "file_name": name, "width": 40, "height": 30}
        found = {"id": 0, "image_id": 0, "category_id": 1, "bbox": BOX, "area": 192, "iscrowd": 0}
        content = {"images": [image], "annotations": [found], "categories": categories}
        write(folder / split / "_annotations.coco.json", json.dumps(content))
    return f"train/{train}", f"valid/{val}"


FORMATS: list[Callable[[Path, str, str], tuple[str, str]]] = [
    yolo, yolo_by_lists, voc, cvat, cvat_tracks, label_studio, labelme, table, roboflow,
]  # fmt: skip


@pytest.fixture(params=FORMATS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """`make(".npy")`: a folder in that format; pixels of an image are all 257 or all 514."""

    def made(ending: str) -> Path:
        for number, place in enumerate(request.param(tmp_path, f"a{ending}", f"b{ending}"), 1):
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            deep(path, 257 * number)
        return tmp_path

    return made


def data(folder: Path, **options: object) -> dict:
    names = {"train_name": "deep_train", "val_name": "deep_val"}
    return {**names, "folder": str(folder), **options}


@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_they_are_found_and_read(make: Callable[[str], Path], ending: str) -> None:
    info = register_datasets(data(make(ending), channels=5, pixel_range=65535))
    assert (info.class_names, info.num_train_images) == (["cat"], 1)
    for number, split in enumerate(("train", "val"), start=1):
        (entry,) = DatasetCatalog.get(f"deep_{split}")
        assert (entry["width"], entry["height"]) == (40, 30)
        (found,) = entry["annotations"]
        np.testing.assert_allclose(found["bbox"], BOX, atol=1e-6)
        image = DetrMapper(is_train=False, channels=5, pixel_range=65535)(entry)["image"]
        assert image.shape == (5, 30, 40)
        assert (image == number).all()


def test_arrays_need_a_number_of_channels(make: Callable[[str], Path], tmp_path: Path) -> None:
    folder = make(".npy")
    sentence = r"has no images but 2 \.npy files \(.*\.npy, \.\.\.\): data\.channels says how many"
    with pytest.raises(UserError, match=sentence):
        register_datasets(data(folder))
    with pytest.raises(UserError, match=sentence):
        read_folder(folder)


@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_the_check_names_files_of_other_channels(
    make: Callable[[str], Path], ending: str, capsys: Console
) -> None:
    folder = make(ending)
    assert check_data.main([str(folder), "--channels", "5"]) == 0
    capsys.readouterr()
    assert check_data.main([str(folder), "--channels", "4"]) in (1, 2)
    said = capsys.readouterr()
    assert "data.channels=4" in said.out + said.err


def test_tiffs_without_a_number_of_channels_are_a_sentence(tmp_path: Path) -> None:
    for place in yolo(tmp_path, "a.tif", "b.tif"):
        (tmp_path / place).parent.mkdir(parents=True)
        deep(tmp_path / place, 0)
    sentence = r"1 of 1 images .* cannot be read: .*\.tif \(its format is unknown; data\.channels r"
    with pytest.raises(UserError, match=sentence):
        register_datasets(data(tmp_path))
    with pytest.raises(UserError, match=r"\.tif \(it has 5 channel\(s\), but data\.channels=7\)"):
        register_datasets(data(tmp_path, channels=7))


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "cvat"])
def test_they_are_written_in_another_format(
    make: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, to: str
) -> None:
    target = tmp_path_factory.mktemp("new") / to
    assert convert_data.main([str(make(".npy")), str(target), "--to", to, "--channels", "5"]) == 0
    found = read_folder(target, MultiChannel(5))
    for part in found.parts.values():
        assert [file.suffix for file in part.files] == [".npy"]
        np.testing.assert_allclose(part.content["annotations"][0]["bbox"], BOX, atol=1e-6)
    if to == "voc":
        texts = [path.read_text() for path in target.rglob("*.xml")]
        assert all("<depth>5</depth>" in text for text in texts)


def test_no_number_of_channels(tmp_path: Path, capsys: Console) -> None:
    given = [str(tmp_path), str(tmp_path.parent / "new"), "--to", "coco", "--channels", "0"]
    assert convert_data.main(given) == 2
    assert "data.channels=0 must be a positive whole number" in capsys.readouterr().err
