"""The generated shapes: the same from a seed, true boxes and masks, never half-written."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
import pytest

from hdetr_d2.data.coco_json import CocoJson, find_problems, read_coco_json
from hdetr_d2.data.shapes import (
    MIN_VISIBLE,
    SHAPES,
    Specification,
    draw_image,
    generate_shapes,
    main,
)
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.images import read_image

SMALL = {"num_train": 30, "num_val": 4, "image_size": 64}


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "shapes"
    generate_shapes(root=folder, **SMALL)
    return folder


@pytest.fixture
def train(root: Path) -> CocoJson:
    return read_coco_json(root / "annotations" / "train.json")


def test_the_json_is_sound_and_the_pictures_are_there(root: Path, train: CocoJson) -> None:
    assert list(find_problems(train)) == []
    assert train.class_names() == list(SHAPES)[:4]
    assert len(train.images) == 30
    assert read_image(root / "train" / train.images[-1]["file_name"]).shape == (64, 64, 3)
    assert len(read_coco_json(root / "annotations" / "val.json").images) == 4


def test_every_class_occurs_and_some_images_are_empty(tmp_path: Path) -> None:
    spec = Specification(0, 0, 32, 6, 8, seed=0)
    drawn = [draw_image(spec, np.random.default_rng(i))[1] for i in range(200)]
    assert {label for objects in drawn for label, _ in objects} == set(range(6))
    assert 1 <= sum(not objects for objects in drawn) <= 30
    assert max(len(objects) for objects in drawn) <= 8


def test_boxes_are_those_of_the_masks(train: CocoJson) -> None:
    for annotation in train.annotations:
        mask = mask_utils.decode(annotation["segmentation"])
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns[0], rows[0])
        assert (left + width, top + height) == (columns[-1] + 1, rows[-1] + 1)
        assert annotation["area"] == mask.sum()


def test_no_pixel_belongs_to_two_objects(train: CocoJson) -> None:
    covered = {image["id"]: np.zeros((64, 64), dtype=int) for image in train.images}
    for annotation in train.annotations:
        covered[annotation["image_id"]] += mask_utils.decode(annotation["segmentation"])
    assert max(mask.max() for mask in covered.values()) == 1


def test_some_objects_are_hidden_in_part(train: CocoJson) -> None:
    boxes = np.array([a["bbox"] for a in train.annotations])
    ids = np.array([a["image_id"] for a in train.annotations])
    overlaps = mask_utils.iou(boxes, boxes, [0] * len(boxes))
    same_image = (ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool)
    assert (overlaps[same_image] > 0.05).any()
    assert 0 < MIN_VISIBLE < 1


def test_the_same_seed_gives_the_same_files(root: Path, tmp_path: Path) -> None:
    generate_shapes(root=tmp_path / "again", **SMALL)
    assert content(tmp_path / "again") == content(root)
    generate_shapes(root=tmp_path / "other", seed=1, **SMALL)
    assert content(tmp_path / "other")["train/000000.png"] != content(root)["train/000000.png"]


def test_more_images_begin_with_the_same_ones(root: Path, tmp_path: Path) -> None:
    generate_shapes(root=tmp_path / "more", **{**SMALL, "num_train": 31})
    assert content(tmp_path / "more")["train/000029.png"] == content(root)["train/000029.png"]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    generate_shapes(root=root, **SMALL)
    before = (root / "train" / "000000.png").stat().st_mtime_ns
    generate_shapes(root=root, **SMALL)
    assert (root / "train" / "000000.png").stat().st_mtime_ns == before


def test_another_specification_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    generate_shapes(root=root, **SMALL)
    generate_shapes(root=root, **{**SMALL, "num_train": 2})
    assert len(list((root / "train").iterdir())) == 2
    assert os.listdir(tmp_path) == ["shapes"]  # no drafts and no old one


def test_a_folder_of_the_users_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="exists and is not a shapes data set"):
        generate_shapes(root=tmp_path, **SMALL)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hdetr_d2.data.shapes.draw_image", fail)
    with pytest.raises(KeyboardInterrupt):
        generate_shapes(root=tmp_path / "shapes", **SMALL)
    assert os.listdir(tmp_path) == []


def test_several_may_generate_at_once(tmp_path: Path) -> None:
    root = tmp_path / "shapes"
    generate_shapes(root=root, **{**SMALL, "num_train": 1})
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: generate_shapes(root=root, **SMALL), range(3)))
    assert os.listdir(tmp_path) == ["shapes"]
    assert len(list((root / "train").iterdir())) == 30


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--root", str(tmp_path / "shapes"), "--num-train", "3", "--num-val", "1", "--seed", "7"])
    assert "shapes data set is in" in capsys.readouterr().out
    assert len(list((tmp_path / "shapes" / "train").iterdir())) == 3


def test_bad_options_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="1 to 6 classes, not 7"):
        generate_shapes(root=tmp_path / "shapes", num_classes=7)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the shapes data set"):
        generate_shapes(root=tmp_path / "file" / "shapes")
    with pytest.raises(SystemExit, match="2"):
        main(["--root", str(tmp_path / "shapes"), "--num-classes", "0"])
    assert capsys.readouterr().err == "shapes has 1 to 6 classes, not 0\n"


def test_the_specification_lies_with_the_data(root: Path) -> None:
    found = json.loads((root / "specification.json").read_text())
    assert (found["num_train"], found["image_size"], found["seed"]) == (30, 64, 0)
