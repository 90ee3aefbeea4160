"""Names of classes are any texts: in a config, in what is saved of it, and in a checkpoint."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from hdetr_d2.engine.class_names import get_class_names, put_class_names
from hdetr_d2.engine.config import load_config, save_config
from hdetr_d2.engine.resolve import resolve_config

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "${x}",
    "${data.val_name}",
    "a ${",
    "\\${x}",
    "$x$",
    "???",
    "????",
    "traffic\nlight",
    "Жук",
    "猫",
    "\\u0024{x}",
    "\\u005cu0024",
    "\\",
    "null",
    "1",
    " ",
    "a: b # c",
    "[a]",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_go_through_a_config_and_its_file(name: str, tmp_path: Path) -> None:
    cfg = load_config(str(ROOT / "configs/quickstart/deformable_detr_shapes.py"))
    put_class_names(cfg, ["cat", name])
    assert get_class_names(cfg) == ["cat", name]
    assert cfg.data.num_classes == 2
    save_config(cfg, tmp_path / "config.yaml")
    saved = load_config(str(tmp_path / "config.yaml"))
    assert get_class_names(saved) == ["cat", name]
    OmegaConf.to_container(saved, resolve=True)


def test_plain_names_stand_as_they_are() -> None:
    cfg = OmegaConf.create({"data": {}})
    put_class_names(cfg, ["cat", "Жук", "a\\b", "$5", "??"])
    assert list(cfg.data.class_names) == ["cat", "Жук", "a\\b", "$5", "??"]


def test_a_data_set_with_such_names(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    box = {"bbox": [1, 2, 20, 10], "area": 200, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": i, **box} for i in range(1, len(NAMES) + 1)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    options = {"name": "odd_names", "json": tmp_path / "a.json", "images": tmp_path}
    overrides = [f"data.{s}_{k}={v}" for s in ("train", "val") for k, v in options.items()]
    recipe = "configs/custom/deformable_detr_coco_json_small.py"
    cfg = load_config(str(ROOT / recipe), [*overrides, f"train.output_dir={tmp_path}/out"])
    resolve_config(cfg)
    assert get_class_names(cfg) == NAMES
    OmegaConf.to_container(cfg, resolve=True)
