"""What the name of a DINO recipe says is what it does, with the settings of its authors."""

import re
from functools import cache
from pathlib import Path

import pytest

from hdetr_d2.engine.config import load_config

FOLDER = Path(__file__).parents[2] / "configs" / "dino"
MILESTONES = {12: 11, 24: 20, 36: 30}
BACKBONES = {
    "r50": ("resnet50", [256, 512, 1024, 2048]),
    "large": ("swin_large_patch4_window12_384", [192, 384, 768, 1536]),
}

load_once = cache(load_config)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_recipe_does_what_its_name_says(path: Path) -> None:
    cfg = load_once(str(path))
    size, levels, epochs = re.search(r"_(r50|large)_([45])scale_(\d+)ep", path.stem).groups()
    assert cfg.train.output_dir == f"output/{path.stem}"
    assert (cfg.train.epochs, cfg.lr_multiplier.milestones) == (
        int(epochs),
        [MILESTONES[int(epochs)]],
    )
    backbone, channels = BACKBONES[size]
    assert cfg.model.backbone.name.startswith(backbone)
    assert cfg.model.neck.num_levels == int(levels)
    assert cfg.model.neck.in_shapes == channels[5 - int(levels) :]
    assert len(cfg.model.backbone.out_features) == len(cfg.model.neck.in_shapes)
    schemes = [scheme._target_.__name__ for scheme in cfg.model.schemes]
    added = {"_hybrid_branch_": "HybridBranch", "_features_": "FeatureDistillation"}
    assert schemes == [name for part, name in added.items() if part in path.stem] + ["Denoising"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_all_of_them_share(path: Path) -> None:
    cfg = load_once(str(path))
    assert (cfg.model.query_selection.num_queries, cfg.model.postprocessing.num_select) == (
        900,
        300,
    )
    assert (cfg.model.criterion.weights["class"], cfg.model.criterion.matcher.weights["class"]) == (
        1.0,
        2.0,
    )
    assert cfg.model.encoder.sizes.dropout == 0.0
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay) == (1e-4, 1e-4)
    assert {rule.pattern: rule.lr_scale for rule in cfg.optimizer.params.rules} == {
        r"^backbone\.": 0.1
    }
    assert cfg.dataloader.train.total_batch_size == 16
    denoising = cfg.model.schemes[-1]
    assert (denoising.groups, denoising.max_queries) == (100, 200)
    assert (denoising.label_noise, denoising.box_noise.scale) == (0.25, 1.0)
