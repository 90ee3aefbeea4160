"""A folder finds out by itself which format it has, and is used as jsons are."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog
from omegaconf import OmegaConf

from hdetr_d2.data import register_datasets
from hdetr_d2.data.formats import Ways, folder_files, read_folder, with_validation
from hdetr_d2.errors import UserError

Pictures = Callable[..., None]
Log = pytest.LogCaptureFixture


def make(folder: Path, pictures: Pictures, *splits: str, count: int = 10) -> None:
    """A cat on each of some images of 40 x 30."""
    for split in splits:
        names = [f"{number}.png" for number in range(count)]
        pictures(*(folder / split / name for name in names))
        shape = {"category_id": 1, "bbox": [2, 3, 10, 10], "area": 100.0, "iscrowd": 0}
        content = {
            "images": [
                {"id": i, "file_name": name, "width": 40, "height": 30}
                for i, name in enumerate(names)
            ],
            "annotations": [{"id": i + 1, "image_id": i, **shape} for i in range(count)],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (folder / f"{split}.json").write_text(json.dumps(content))


def data(folder: Path, **options: object) -> dict:
    names = {"train_name": "mine_train", "val_name": "mine_val"}
    return {**names, "folder": str(folder), **options}


def val_files(folder: Path, seed: int = 0) -> set[bytes]:
    found = with_validation(read_folder(folder), Ways(split_seed=seed))
    return {file.read_bytes() for file in found.parts["val"].files}


def test_a_folder_is_enough(tmp_path: Path, pictures: Pictures, caplog: Log) -> None:
    make(tmp_path, pictures, "train", "val")
    with caplog.at_level(logging.INFO, logger="hdetr_d2"):
        info = register_datasets(data(tmp_path))
    assert (info.class_names, info.num_train_images) == (["cat"], 10)
    assert f"{tmp_path} is in the format COCO (train.json): train has 10" in caplog.text
    assert len(DatasetCatalog.get("mine_val")) == 10


def test_a_folder_takes_the_place_of_the_data_of_a_recipe(
    tmp_path: Path, pictures: Pictures
) -> None:
    make(tmp_path / "pets", pictures, "train", "val")
    generate = {"_target_": "hdetr_d2.data.shapes.generate_shapes", "root": "nowhere"}
    given = {"train_name": "coco_2017_train", "train_json": "x.json", "generate": generate}
    info = register_datasets(OmegaConf.create(data(tmp_path / "pets", **given)))
    assert info.replaced["train_name"] == "pets_train"
    assert info.replaced["val_name"] == "mine_val"
    assert info.replaced["generate"] is None
    assert info.replaced["train_json"] is None
    assert len(DatasetCatalog.get("pets_train")) == 10


def test_two_folders_of_one_process(tmp_path: Path, pictures: Pictures) -> None:
    names = set()
    for place in ("a/pets", "b/pets", "c/pets", "a/pets"):
        if not (tmp_path / place).exists():
            make(tmp_path / place, pictures, "train", "val")
        names.add(register_datasets(data(tmp_path / place)).replaced["train_name"])
    assert names == {"mine_train", "pets_train", f"pets_train ({tmp_path / 'c/pets'})"}


def test_a_validation_split_is_made_and_said(
    tmp_path: Path, pictures: Pictures, caplog: Log
) -> None:
    make(tmp_path, pictures, "train")
    with caplog.at_level(logging.INFO, logger="hdetr_d2"):
        info = register_datasets(data(tmp_path))
    assert "train has 8 images with 8 objects; val has 2 images with 2 objects" in caplog.text
    assert "2 of its 10 training images are taken for that, by data.val_share=0.2" in caplog.text
    assert info.num_train_images == 8
    assert len(DatasetCatalog.get("mine_val")) == 2
    assert register_datasets(data(tmp_path), for_training=False).num_train_images is None


def test_the_split_is_that_of_the_files_and_the_seed(tmp_path: Path, pictures: Pictures) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    make(first, pictures, "train")
    shutil.copytree(first, second)
    content = json.loads((first / "train.json").read_text())
    # The same files in another order and under other names.
    for image in content["images"]:
        number = int(image["file_name"][0])
        image["file_name"] = f"x{9 - number}.png"
        shutil.move(second / "train" / f"{number}.png", second / "train" / image["file_name"])
    content["images"].reverse()
    (second / "train.json").write_text(json.dumps(content))
    assert val_files(first) == val_files(second)
    assert len({frozenset(val_files(first, seed)) for seed in range(8)}) > 1


def test_equal_images_stay_together(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path, pictures, "train")
    for number in range(5):  # each twice
        shutil.copy(tmp_path / "train" / f"{number}.png", tmp_path / "train" / f"{number + 5}.png")
    for seed in range(5):
        parts = with_validation(read_folder(tmp_path), Ways(split_seed=seed)).parts
        train, val = ({f.read_bytes() for f in parts[name].files} for name in ("train", "val"))
        assert not train & val
        assert len(val) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_what_cannot_be_divided(count: int, tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path, pictures, "train", count=count)
    for number in range(1, count):
        shutil.copy(tmp_path / "train" / "0.png", tmp_path / "train" / f"{number}.png")
    with pytest.raises(UserError, match=f"of {count} images none can be spared"):
        register_datasets(data(tmp_path))


@pytest.mark.parametrize("seed", range(4))
def test_images_of_one_id_are_an_error_in_a_split_that_is_made(
    seed: int, tmp_path: Path, pictures: Pictures
) -> None:
    make(tmp_path, pictures, "train", count=4)
    content = json.loads((tmp_path / "train.json").read_text())
    content["images"][1]["id"] = 0  # each would have the objects of both
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="image id 0 is used more than once"):
        register_datasets(data(tmp_path, split_seed=seed))


def test_objects_of_no_image_are_an_error_in_a_split_that_is_made(
    tmp_path: Path, pictures: Pictures
) -> None:
    make(tmp_path, pictures, "train")
    content = json.loads((tmp_path / "train.json").read_text())
    content["annotations"][3]["image_id"] = 77
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="annotation 4 of image 77: no such image"):
        register_datasets(data(tmp_path))


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no data in a format that is known here \(COCO: a json"):
        register_datasets(data(tmp_path))
    with pytest.raises(UserError, match="the data folder .*/none does not exist"):
        register_datasets(data(tmp_path / "none"))


def test_images_alone_have_no_annotations(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "a.jpg", tmp_path / "more" / "b.png")
    (tmp_path / ".thumbs").write_bytes(b"")
    with pytest.raises(UserError, match=r"known here: it has images \(2\) and no annotations, wh"):
        read_folder(tmp_path)
    (tmp_path / "boxes.txt").write_text("a.jpg,1,2,3,4\n")
    with pytest.raises(UserError, match=r"known here \(COCO: a json"):
        read_folder(tmp_path)


def test_what_is_there_and_not_read_is_named(tmp_path: Path, pictures: Pictures) -> None:
    pictures(tmp_path / "deep" / "a.jpg")
    (tmp_path / "deep" / "b.CSV").write_text("image,box,class\na.jpg,1 2 3 4,cat")
    sentence = r"deep/b\.CSV is a table without columns for xmin, ymin, xmax, ymax"
    with pytest.raises(UserError, match=rf"is known here: {sentence}.* \(COCO: a json"):
        read_folder(tmp_path)


@pytest.mark.parametrize("text", ['{"shapes": []}', '[{"shapes": [], "imagePath": "a"}]', "{}"])
def test_another_json_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"known here \(COCO: a json"):
        read_folder(tmp_path)


def test_only_validation_images(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path, pictures, "val")
    with pytest.raises(UserError, match="has no training images"):
        register_datasets(data(tmp_path))
    assert register_datasets(data(tmp_path), for_training=False).class_names == ["cat"]
    make(tmp_path / "b", pictures, "test")
    with pytest.raises(UserError, match="has no validation images"):
        register_datasets(data(tmp_path / "b"), for_training=False)


def test_equal_pointers_of_git_lfs_are_called_so(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path, pictures, "train")
    files = sorted(tmp_path.rglob("*.png"))
    for file in files:
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match=r"can be spared: .*\.png: it is a pointer of Git LFS, and"):
        register_datasets(data(tmp_path))


def test_two_splits_of_a_folder_are_two_files(tmp_path: Path, pictures: Pictures) -> None:
    make(tmp_path / "mine", pictures, "train")
    files = folder_files(tmp_path / "mine", Ways())
    names = {split: Path(files[f"{split}_json"]).name for split in ("train", "val")}
    assert names["train"].startswith("mine-train-") and names["val"].startswith("mine-val-")
    assert files == folder_files(tmp_path / "mine", Ways())
    shutil.copytree(tmp_path / "mine", tmp_path / "other" / "mine")
    assert not {*files.values()} & {*folder_files(tmp_path / "other" / "mine", Ways()).values()}
