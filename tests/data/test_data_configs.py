"""The shared data configs: saved and loaded again they build mappers, loaders and evaluators."""

from itertools import islice
from pathlib import Path

import pytest
import yaml
from detectron2.config import LazyConfig, instantiate
from omegaconf import DictConfig

from hdetr_d2.data import register_datasets

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "common" / "data"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def load(name: str, tmp_path: Path) -> DictConfig:
    """The config, saved and loaded again, with what it takes from `train`."""
    config = LazyConfig.load(str(FOLDER / f"{name}.py"))
    config.train = {"seed": 1, "accumulate": 1, "output_dir": str(tmp_path), "max_iter": 60}
    LazyConfig.save(config, str(tmp_path / "config.yaml"))
    yaml.safe_load((tmp_path / "config.yaml").read_text())
    return LazyConfig.load(str(tmp_path / "config.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_mappers_are_built_from_the_saved_config(name: str, tmp_path: Path) -> None:
    config = load(name, tmp_path)
    assert set(config.dataloader) == {"train", "test", "evaluator"}
    assert instantiate(config.dataloader.train.mapper).is_train
    assert not instantiate(config.dataloader.test.mapper).is_train


def test_mosaics_and_blends_have_the_windows_of_their_paper(tmp_path: Path) -> None:
    config = load("coco_dense", tmp_path)
    config.dataloader.train.total_batch_size = 2
    mapper = instantiate(config.dataloader.train.mapper)
    whens = [each.when for each in (mapper.mosaic, *mapper.blends)]
    assert [(when.p, when.steps) for when in whens] == [
        (0.5, range(4, 34)),
        (0.5, range(4, 34)),
        (0.5, range(4, 58)),
    ]
    assert whens[0].total_batch_size == 2


def test_the_shapes_run_from_config_to_batch(tmp_path: Path) -> None:
    config = load("shapes", tmp_path)
    config.data.generate.update(
        root=str(tmp_path / "shapes"), num_train=8, num_val=3, image_size=32
    )
    for split in ("train", "val"):
        config.data[f"{split}_name"] = f"config_{split}"
    register_datasets(config.data)
    config.dataloader.train.update(total_batch_size=4, num_workers=0)
    config.dataloader.test.num_workers = 0
    batches = list(islice(instantiate(config.dataloader.train), 2))
    assert [len(batch) for batch in batches] == [4, 4]
    assert batches[0][0]["image"].shape == (3, 32, 32)
    assert sum(len(batch) for batch in instantiate(config.dataloader.test)) == 3
    instantiate(config.dataloader.evaluator)


def test_paths_of_ones_own_data_are_four_overrides(tmp_path: Path) -> None:
    config = load("coco_json", tmp_path)
    files = dict(train_json="t.json", train_images="t", val_json="v.json", val_images="v")
    assert set(files) <= set(config.data)
    assert (config.data.train_name, config.data.val_name) == ("custom_train", "custom_val")
