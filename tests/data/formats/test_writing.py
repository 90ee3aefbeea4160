"""A data set through four formats and back: the same targets and the same AP."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, Instances

from hdetr_d2.commands.convert_data import main
from hdetr_d2.data import register_datasets
from hdetr_d2.data.formats import read_folder
from hdetr_d2.data.formats.writing import convert_data
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
FORMATS = ("yolo", "voc", "cvat", "coco")


def register(folder: Path, name: str) -> dict[str, list[dict]]:
    """What training and evaluation read of a folder."""
    register_datasets(
        {"train_name": f"{name}_train", "val_name": f"{name}_val", "folder": str(folder)}
    )
    return {split: DatasetCatalog.get(f"{name}_{split}") for split in ("train", "val")}


def targets(entries: list[dict]) -> list[tuple]:
    """Image by image the pixels and the labels, and the boxes."""
    return [
        (
            Path(entry["file_name"]).read_bytes(),
            [a["category_id"] for a in entry["annotations"]],
            np.array([a["bbox"] for a in entry["annotations"]]).reshape(-1, 4),
        )
        for entry in entries
    ]


def average_precision(name: str, entries: list[dict]) -> list[float]:
    """AP, AP50 and AP75 of boxes a little beside the true ones, some missing and some too many."""
    random = np.random.default_rng(0)
    evaluator = COCOEvaluator(f"{name}_val", output_dir=None)
    evaluator.reset()
    for entry in entries:
        boxes = np.array([a["bbox"] for a in entry["annotations"]]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        kept = random.random(len(boxes)) < 0.8
        moved = np.concatenate([boxes[kept] + random.normal(0, 2, (kept.sum(), 4)), [[1, 1, 9, 9]]])
        found = Instances((entry["height"], entry["width"]))
        found.pred_boxes = Boxes(torch.tensor(moved))
        found.scores = torch.tensor(random.random(len(moved)))
        labels = np.array([a["category_id"] for a in entry["annotations"]], int)[kept]
        found.pred_classes = torch.tensor([*labels, 0])
        evaluator.process([{"image_id": entry["image_id"]}], [{"instances": found}])
    results = evaluator.evaluate()["bbox"]
    return [results[key] for key in ("AP", "AP50", "AP75")]


def test_a_round_trip_through_four_formats(tmp_path: Path) -> None:
    generate_shapes(root=tmp_path / "shapes", num_train=8, num_val=12, image_size=96, seed=1)
    first = register(tmp_path / "shapes", "shapes")
    expected = average_precision("shapes", first["val"])
    assert 10 < expected[0] < 95
    before = tmp_path / "shapes"
    for to in FORMATS:
        after = tmp_path / to
        convert_data(before, after, to)
        entries = register(after, to)
        for split in ("train", "val"):
            for old, new in zip(targets(first[split]), targets(entries[split]), strict=True):
                assert old[:2] == new[:2]
                np.testing.assert_allclose(old[2], new[2], rtol=0, atol=1e-9)
        assert average_precision(to, entries["val"]) == pytest.approx(expected, abs=1e-9)
        before = after
    names = [part.class_names for part in read_folder(tmp_path / "coco").parts.values()]
    assert names == [["circle", "square", "triangle", "cross"]] * 2


def yolo(folder: Path, pictures: Pictures, *lines: str, name: str = "a.jpg") -> None:
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text("train: images\nnames: ['no', 'guide dog', 猫:x]\n", "utf-8")
    (folder / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))
    pictures(folder / "images" / name)


@pytest.mark.parametrize("to", FORMATS)
def test_odd_names_and_boxes_beyond_the_image(to: str, tmp_path: Path, pictures: Pictures) -> None:
    lines = ("2 0.05 0.5 0.2 0.2", "0 0.5 0.5 0.3333 0.1", "1 1.5 0.5 0.1 0.1")
    yolo(tmp_path / "a", pictures, *lines, name="a b.jpg")
    convert_data(tmp_path / "a", tmp_path / "b", to)
    part = read_folder(tmp_path / "b").parts["train"]
    assert part.class_names == ["no", "guide dog", "猫:x"]
    boxes = [a["bbox"] for a in part.content["annotations"]]
    assert boxes[1] == pytest.approx([13.334, 13.5, 13.332, 3])
    # COCO's may leave the image; of other formats a box is what is in it.
    assert boxes[0] == pytest.approx([-2, 12, 8, 6] if to == "coco" else [0, 12, 6, 6])
    assert len(boxes) == (3 if to == "coco" else 2)


def test_what_a_format_cannot_say_is_counted(
    tmp_path: Path, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a" / "Annotations").mkdir(parents=True)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    thing = f"<object><name>cat</name><difficult>1</difficult>{box}</object>"
    (tmp_path / "a" / "Annotations" / "a.xml").write_text(f"<annotation>{thing}</annotation>")
    pictures(tmp_path / "a" / "JPEGImages" / "a.jpg")
    with caplog.at_level(logging.INFO, logger="hdetr_d2"):
        convert_data(tmp_path / "a", tmp_path / "voc", "voc")
        assert "cannot say" not in caplog.text
        convert_data(tmp_path / "voc", tmp_path / "yolo", "yolo")
    assert "yolo cannot say everything: crowds are left out (1)" in caplog.text
    assert read_folder(tmp_path / "voc").parts["train"].content["annotations"][0]["iscrowd"] == 1


def test_images_keep_their_folders_below_the_one_that_all_share(
    tmp_path: Path, pictures: Pictures
) -> None:
    for place in ("x/images", "y"):
        pictures(tmp_path / "a" / "images" / place / "a.jpg")
        label = tmp_path / "a" / "images" / place / "a.txt"
        label.write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "a" / "data.yaml").write_text("train: images\nnames: [cat]\n")
    for to in FORMATS:
        convert_data(tmp_path / "a", tmp_path / to, to)
        part = read_folder(tmp_path / to).parts["train"]
        assert [file.parts[-2] for file in part.files] == ["images", "y"]
        assert len(part.content["annotations"]) == 2


def coco(folder: Path, pictures: Pictures, split: str, **lists: list[dict]) -> None:
    """An image of 40 x 30 with a dog of 10 x 10 pixels."""
    box = {"image_id": 1, "category_id": 2, "bbox": [2, 3, 10, 10], "area": 100, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [{"id": 1, **box}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    pictures(folder / split / "a.png")
    (folder / f"{split}.json").write_text(json.dumps(content | lists))


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    ("categories", "fault"),
    [
        (
            [(2, "cat"), (1, "dog")],
            "number the classes differently: id 1 is 'cat' in train and 'dog'",
        ),
        ([(1, "cat"), (2, "dog"), (3, "cow")], r"only val has \['cow'\]"),
    ],
)
def test_splits_that_number_their_classes_differently(
    categories: list, fault: str, to: str, tmp_path: Path, pictures: Pictures
) -> None:
    coco(tmp_path / "a", pictures, "train")
    named = [{"id": number, "name": name} for number, name in categories]
    coco(tmp_path / "a", pictures, "val", categories=named)
    with pytest.raises(UserError, match=f"the splits train and val .*{fault}"):
        convert_data(tmp_path / "a", tmp_path / "b", to)
    assert not (tmp_path / "b").exists()


def test_classes_may_be_listed_in_another_order(tmp_path: Path, pictures: Pictures) -> None:
    categories = [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]
    coco(tmp_path / "a", pictures, "train", categories=categories)
    coco(tmp_path / "a", pictures, "val")
    convert_data(tmp_path / "a", tmp_path / "b", "yolo")
    for split in ("train", "val"):
        assert (tmp_path / "b" / "labels" / split / "a.txt").read_text().startswith("1 ")


@pytest.mark.parametrize(
    ("lists", "fault"),
    [
        ({"annotations": [{"id": 7, "image_id": 1, "category_id": 9, "bbox": [1, 1, 5, 5]}]},
         r"train\.json: annotation 7 of image 1 has category_id 9"),
        ({"annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, -5, 5]}]},
         "negative width or height"),
        ({"images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}]},
         r"a\.png is 40 x 30 pixels, but its data set says 80 x 60$"),
        ({"images": [{"id": 1, "file_name": "a.png"}]}, "has width None and height None"),
        ({"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30},
                     {"id": 2, "file_name": "b.png", "width": 40, "height": 30}]},
         r"1 of 2 images of .*train\.json cannot be read: .*b\.png \(it does not exist"),
    ],
)  # fmt: skip
def test_what_a_training_refuses_is_not_converted(
    lists: dict, fault: str, tmp_path: Path, pictures: Pictures
) -> None:
    coco(tmp_path / "a", pictures, "train", **lists)
    with pytest.raises(UserError, match=fault):
        convert_data(tmp_path / "a", tmp_path / "b", "yolo")
    assert not (tmp_path / "b").exists()


def test_an_image_of_yolo_that_cannot_be_read(tmp_path: Path, pictures: Pictures) -> None:
    yolo(tmp_path / "a", pictures, "0 0.5 0.5 0.1 0.1")
    (tmp_path / "a" / "images" / "b.jpg").write_text("no image")
    with pytest.raises(
        UserError,
        match=r"1 of 2 images of .*a \(train\) cannot .*images/b\.jpg \(its format is unknown\)$",
    ):
        convert_data(tmp_path / "a", tmp_path / "b", "coco")


@pytest.mark.parametrize("to", FORMATS)
def test_two_images_of_one_stem(to: str, tmp_path: Path, pictures: Pictures) -> None:
    yolo(tmp_path / "a", pictures, "0 0.5 0.5 0.1 0.1")
    pictures(tmp_path / "a" / "images" / "a.png")
    if to in ("coco", "cvat"):  # which know an image by its whole name
        convert_data(tmp_path / "a", tmp_path / "b", to)
        found = read_folder(tmp_path / "b").parts["train"]
        assert [file.suffix for file in found.files] == [".jpg", ".png"]
        assert [a["image_id"] for a in found.content["annotations"]] == [1, 2]
        return
    with pytest.raises(UserError, match=r"a\.jpg and .*a\.png would have annotations of one name"):
        convert_data(tmp_path / "a", tmp_path / "b", to)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_image_that_is_listed_twice(tmp_path: Path, pictures: Pictures) -> None:
    image = {"file_name": "a.png", "width": 40, "height": 30}
    coco(tmp_path / "a", pictures, "train", images=[{"id": n, **image} for n in (1, 2)])
    for to in ("yolo", "voc", "cvat"):
        with pytest.raises(UserError, match=r"a\.png is two images, and can be only one"):
            convert_data(tmp_path / "a", tmp_path / to, to)
    convert_data(tmp_path / "a", tmp_path / "b", "coco")
    assert len(read_folder(tmp_path / "b").parts["train"].content["images"]) == 2


@pytest.mark.parametrize("to", FORMATS)
def test_images_anywhere_are_copied_below_the_new_folder(
    to: str, tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "a" / "b.png", tmp_path / "c.png")
    size = {"width": 40, "height": 30}
    names = ("a.png", "../b.png", str(tmp_path / "c.png"))
    images = [{"id": n, "file_name": name, **size} for n, name in enumerate(names, start=1)]
    coco(tmp_path / "a", pictures, "train", images=images)
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.rglob("*")}
    convert_data("a", "new", to)
    assert all(path.is_relative_to(tmp_path / "new") for path in {*tmp_path.rglob("*")} - before)
    files = read_folder("new").parts["train"].files
    assert sorted(file.name for file in files) == ["a.png", "b.png", "c.png"]


def test_all_that_is_lost_is_one_line(
    tmp_path: Path, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    given = [
        {"bbox": [30, 20, 20, 20]},
        {"bbox": [35, 25, 5.005, 5.005]},  # rounded
        {"bbox": [50, 20, 9, 9]},
        {"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9]]},
    ]
    more = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    boxes = [{"id": number, **more, **each} for number, each in enumerate(given, start=1)]
    coco(tmp_path / "a", pictures, "train", annotations=boxes)
    with caplog.at_level(logging.INFO, logger="hdetr_d2"):
        convert_data(tmp_path / "a", tmp_path / "b", "yolo")
    (line,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert line == (
        "the format yolo cannot say everything: masks become boxes (1); boxes are cut at the edges "
        "of their images (1); boxes outside of their images are left out (1)"
    )
    assert "train has 1 image with 4 objects; 2 classes: cat, dog" in caplog.text


def test_the_new_folder_is_not_in_the_old_one(tmp_path: Path, pictures: Pictures) -> None:
    yolo(tmp_path / "a", pictures, "0 0.5 0.5 0.1 0.1")
    with pytest.raises(UserError, match="a/voc is in the folder that is read, .*/a: give one"):
        convert_data(tmp_path / "a", tmp_path / "a" / "voc", "voc")
    assert not (tmp_path / "a" / "voc").exists()


def test_the_command(
    tmp_path: Path, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    yolo(tmp_path / "a", pictures, "0 0.5 0.5 0.1 0.1")
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--to", "voc"]) == 0
    assert (tmp_path / "b" / "Annotations" / "a.xml").is_file()
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--to", "voc"]) == 2
    assert "is there already" in capsys.readouterr().err
