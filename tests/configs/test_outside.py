"""A config that lies outside of the clone imports its parts by their names in the package."""

import importlib
import re
import shutil
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.evaluation import inference_on_dataset
from fvcore.common.param_scheduler import ParamScheduler
from omegaconf import OmegaConf

from hdetr_d2._detectron2 import active
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

ROOT = Path(__file__).resolve().parents[2]
PARTS = """from {0}data.coco_json import data, dataloader
from {0}models.deformable_detr_pp import model
from {0}optim import optimizer
from {0}schedule import lr_multiplier
from {0}train import train

train.epochs = 24
train.ema.enabled = True
dataloader.train.mapper.augmentations.append(dict(_target_="mine"))
model.schemes.append(dict(_target_="mine"))
"""


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_an_absolute_import_gives_what_a_relative_one_gives(tmp_path: Path) -> None:
    absolute = PARTS.format("hdetr_d2.configs.common.")
    outside = written(tmp_path / "absolute.py", absolute)
    shutil.copytree(ROOT / "configs" / "common", tmp_path / "configs" / "common")
    (tmp_path / "configs" / "mine").mkdir()
    relative = PARTS.format("..common.")
    inside = LazyConfig.load(written(tmp_path / "configs" / "mine" / "relative.py", relative))
    assert config_text(load_config(outside)) == config_text(inside)
    # Nodes are fresh: what the first load has changed is not changed once more.
    assert config_text(load_config(outside)) == config_text(inside)


def test_a_whole_recipe_and_a_name_that_it_lacks(tmp_path: Path) -> None:
    recipe = "from hdetr_d2.configs.hdetr.h_deformable_detr_r50_12ep import "
    nodes = "data, dataloader, lr_multiplier, model, optimizer, train"
    cfg = load_config(written(tmp_path / "recipe.py", recipe + nodes))
    assert cfg.model.schemes[0].num_queries == 1500
    with pytest.raises(UserError, match="cannot import name 'colour'.*h_deformable_detr_r50_12ep"):
        load_config(written(tmp_path / "wrong.py", recipe + "colour"))
    with pytest.raises(UserError, match="No module named 'hdetr_d2.configs.hdetr.none'"):
        load_config(written(tmp_path / "none.py", "from hdetr_d2.configs.hdetr.none import model"))


def test_the_example_of_the_page_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "CONFIGS.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = [block for block in blocks if "mypkg" in block]
    (tmp_path / "mypkg").mkdir()
    written(tmp_path / "mypkg" / "neck.py", "class MyNeck: ...")
    monkeypatch.syspath_prepend(tmp_path)
    cfg = load_config(written(tmp_path / "example.py", example))
    assert "mypkg.neck.MyNeck" in config_text(cfg)
    assert OmegaConf.select(cfg, "train.epochs") == 24


@pytest.mark.skipif(active() == "fallback", reason="the stand-in has no backbones")
def test_the_example_with_a_backbone_of_detectron2(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "CONFIGS.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = [block for block in blocks if "LastLevelMaxPool" in block]
    cfg = load_config(written(tmp_path / "example.py", example))
    cfg.data.num_classes = 7
    with torch.device("meta"):
        model = instantiate(cfg.model)
    assert model.neck.in_channels == {"p3": 256, "p4": 256, "p5": 256, "p6": 256}
    assert "backbone.bottom_up.res3.0.conv1.weight" in model.state_dict()


def test_a_config_is_no_module_that_holds_its_nodes() -> None:
    module = importlib.import_module("hdetr_d2.configs.common.train")
    assert module.train == module.train
    assert module.train is not module.train
    assert not hasattr(module, "__path__")


def test_a_part_alone_is_built_with_the_classes_that_it_is_for() -> None:
    part = importlib.import_module("hdetr_d2.configs.hdetr.h_deformable_detr_r50_12ep").model
    with without_pretrained(), pytest.raises(UserError, match="model.num_classes=None: set it, or"):
        instantiate(part)
    part.num_classes = 7
    with without_pretrained(), torch.device("meta"):
        model = instantiate(part)
    assert model.num_classes == 7
    assert {head.out_features for head in model.decoder.heads.class_heads} == {7}


def test_a_recipe_in_the_form_of_detectron2s_script(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "CONFIGS.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = [block for block in blocks if "lazyconfig_train_net.py" in block]
    generate_shapes(root=tmp_path, num_train=4, num_val=2, image_size=64, num_classes=3)
    recipe = "hdetr_d2.configs.quickstart.deformable_detr_shapes"
    example = example.replace("hdetr_d2.configs.hdetr.h_deformable_detr_r50_12ep", recipe)
    example = example.replace('f"{split}.json"', f'f"{tmp_path}/annotations/{{split}}.json"')
    example = example.replace('f"{split}")', f'f"{tmp_path}/{{split}}")')
    cfg = LazyConfig.load(written(tmp_path / "example.py", example))
    cfg.dataloader.train.update(total_batch_size=2, num_workers=0)
    cfg.dataloader.test.num_workers = 0
    cfg.train.output_dir = str(tmp_path / "run")
    model = instantiate(cfg.model)
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    assert isinstance(instantiate(cfg.lr_multiplier), ParamScheduler)
    before = model.decoder.heads.class_heads[0].weight.clone()
    sum(model(next(iter(instantiate(cfg.dataloader.train)))).values()).backward()
    optimizer.step()
    assert not torch.equal(model.decoder.heads.class_heads[0].weight, before)
    evaluator = instantiate(cfg.dataloader.evaluator)
    results = inference_on_dataset(model, instantiate(cfg.dataloader.test), evaluator)
    assert "AP" in results["bbox"]
    assert (cfg.train.checkpointer.period, cfg.train.eval_period) == (2500, 2500)
