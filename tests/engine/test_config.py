import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.data import DatasetInfo
from hdetr_d2.engine import resolve
from hdetr_d2.engine.config import (
    config_text,
    count_iterations,
    load_config,
    plain_config,
    save_config,
)
from hdetr_d2.engine.resolve import prepare_output, resolve_config
from hdetr_d2.errors import UserError

COMMON = Path(__file__).resolve().parents[2] / "configs" / "common"
TEXT = f"""
from detectron2.config import LazyCall as L, LazyConfig
from torch import nn

train = LazyConfig.load_rel("{COMMON}/train.py", "train")
lr_multiplier = LazyConfig.load_rel("{COMMON}/schedule.py", "lr_multiplier")
optimizer = LazyConfig.load_rel("{COMMON}/optim.py", "optimizer")
data = dict(train_name="a", num_classes=None, class_names=None, generate=None)
dataloader = dict(train=dict(total_batch_size=4, num_workers=2))
model = L(nn.Linear)(in_features=2, out_features="${{data.num_classes}}")
train.device = "cpu"
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "config.py").write_text(TEXT)
    return str(tmp_path / "config.py")


@pytest.fixture
def ten_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of two classes and ten images, without files."""
    info = DatasetInfo(["cat", "dog"], 10, most_objects=3, image_counts=[4, 7])
    monkeypatch.setattr(resolve, "register_datasets", lambda *args, **options: info)


def test_overrides_in_hydras_grammar(path: str) -> None:
    cfg = load_config(
        path, ["train.epochs=3", "train.amp={enabled: true}", "optimizer.betas=[0.5,0.6]"]
    )
    assert (cfg.train.epochs, cfg.train.amp.enabled, cfg.train.amp.dtype) == (3, True, "bfloat16")
    assert list(cfg.optimizer.betas) == [0.5, 0.6]


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("train.epoch=3", "train.epochs"),
        ("epochs=3", "train.epochs"),
        ("trian.seed=3", "train.seed"),
        ("train.amp.enable=true", "train.amp.enabled"),
        ("train.amp={enable: true}", "train.amp.enabled"),
        ("optimizer.params.rules.1.lr_scal=1", "optimizer.params.rules.1.lr_scale"),
        ("train.epochs.x=1", "train.epochs"),
        ("train.out=mine", "train.output_dir"),
        ("train.eval=2", "train.eval_period_epochs"),
        ("output=mine", "train.output_dir"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest(path: str, override: str, nearest: str) -> None:
    with pytest.raises(UserError) as error:
        load_config(path, [override])
    assert re.search(rf"^unknown option \S+: did you mean {re.escape(nearest)}\?", str(error.value))
    assert f"+{override} adds it on purpose" in str(error.value)


def test_a_group_of_options_takes_the_place_of_null(path: str) -> None:
    cfg = load_config(path, ["data.generate={a: 1}"])
    assert cfg.data.generate == {"a": 1}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "odd.py",
            "x = unknown",
            "cannot load config file .*odd.py: name 'unknown' is not defined",
        ),
        ("odd.py", "x = {}['y']", "cannot load config file .*odd.py: 'y'"),
        ("odd.yaml", "", "odd.yaml"),
        ("odd.yaml", "[1, 2]", "odd.yaml is not a training config"),
    ],
)
def test_a_file_that_is_no_config_is_a_sentence(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=reason):
        load_config(str(tmp_path / name))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("train.amp=true", "train.amp is a group of options: enabled, dtype"),
        ("train=5", "train is a group of options: "),
        ("train.ema=null", "train.ema is a group of options"),
        ("optimizer.params.rules=5", r"rules is a list: optimizer.params.rules=\[5\]"),
        ("optimizer.lr=fast", "optimizer.lr=fast must be a number"),
    ],
)
def test_an_option_keeps_its_kind(path: str, override: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load_config(path, [override])


def test_a_part_may_be_left_out_or_point_elsewhere(path: str) -> None:
    cfg = load_config(path, ["model=null", "optimizer.lr=${train.seed}"])
    assert cfg.model is None
    assert cfg.optimizer.lr == cfg.train.seed


def test_a_plus_adds_an_option(path: str) -> None:
    cfg = load_config(path, ["+train.mine=4", "++train.ddp.static_graph=true"])
    assert (cfg.train.mine, cfg.train.ddp.static_graph) == (4, True)


def test_a_list_item_can_be_overridden(path: str) -> None:
    cfg = load_config(path, ["optimizer.params.rules.0.lr_scale=0.5"])
    assert cfg.optimizer.params.rules[0].lr_scale == 0.5


@pytest.mark.parametrize(
    "override", ["--resume", "train.epochs", "train.epochs=[1", "~train.epochs", "train.epochs=1,2"]
)
def test_what_is_no_override_is_a_sentence(path: str, override: str) -> None:
    with pytest.raises(UserError, match="overrid"):
        load_config(path, [override])


def test_a_flag_behind_the_overrides_is_told_where_it_belongs(path: str) -> None:
    with pytest.raises(UserError, match="--resume .* before the overrides"):
        load_config(path, ["train.epochs=1", "--resume"])


def test_files_that_are_no_config(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("train = dict(")
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "import.py").write_text("from .nothing import a")
    (tmp_path / "half.py").write_text("train = dict(max_iter=1)")
    cases = {
        "": "--config-file is missing",
        "none.py": "none.py does not exist",
        "broken.py": "cannot load config file .*broken.py",
        "broken.yaml": "cannot load config file .*broken.yaml",
        "import.py": "cannot load config file .*nothing.py does not exist",
        "half.py": "is not a training config: it lacks data, dataloader, model",
    }
    for name, reason in cases.items():
        with pytest.raises(UserError, match=reason) as error:
            load_config(str(tmp_path / name) if name else "")
        assert "\n" not in str(error.value)


@pytest.mark.usefixtures("ten_images")
def test_what_follows_from_the_data_is_written(path: str) -> None:
    cfg = load_config(path, ["train.epochs=3", "lr_multiplier.milestones=[2]"])
    resolve_config(cfg)
    assert list(cfg.data.class_names) == ["cat", "dog"]
    assert list(cfg.data.image_counts) == [4, 7]
    assert (cfg.data.num_classes, cfg.train.iterations_per_epoch, cfg.train.max_iter) == (2, 2, 6)
    assert instantiate(cfg.model).weight.shape == (2, 2)
    assert instantiate(cfg.lr_multiplier)(0.7) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("epochs", "iterations"), [(12, 120), (1.1, 11), (0.55, 6), (0.01, 1), (0, 0)]
)
def test_a_begun_iteration_counts(epochs: float, iterations: int) -> None:
    assert count_iterations(epochs, 10) == iterations


@pytest.mark.usefixtures("ten_images")
def test_a_max_iter_of_the_users_wins(path: str) -> None:
    cfg = load_config(path, ["train.max_iter=5"])
    resolve_config(cfg)
    assert cfg.train.max_iter == 5


@pytest.mark.usefixtures("ten_images")
def test_a_saved_config_follows_new_overrides(path: str, tmp_path: Path) -> None:
    cfg = load_config(path)
    resolve_config(cfg)
    assert cfg.train.max_iter == 24
    save_config(cfg, tmp_path / "saved.yaml")
    shorter = ["train.epochs=2", "lr_multiplier.milestones=[1]"]
    again = load_config(str(tmp_path / "saved.yaml"), shorter)
    resolve_config(again)
    assert again.train.max_iter == 4

    cfg.train.max_iter = 7
    save_config(cfg, tmp_path / "own.yaml")
    assert load_config(str(tmp_path / "own.yaml")).train.max_iter == 7


@pytest.mark.usefixtures("ten_images")
def test_saved_is_plain_yaml_and_builds_the_same(path: str, tmp_path: Path) -> None:
    cfg = load_config(path)
    resolve_config(cfg)
    LazyConfig.save(cfg, str(tmp_path / "lazy.yaml"))
    save_config(cfg, tmp_path / "ours.yaml")
    assert sorted(p.name for p in tmp_path.glob("*.y*")) == ["lazy.yaml", "ours.yaml"]
    for name in ("lazy.yaml", "ours.yaml"):
        plain = yaml.safe_load((tmp_path / name).read_text())
        assert plain["model"]["out_features"] == "${data.num_classes}"
        again = load_config(str(tmp_path / name))
        assert plain_config(again) == plain_config(load_config(str(tmp_path / "ours.yaml")))
        torch.manual_seed(0)
        built = instantiate(again.model).weight
        torch.manual_seed(0)
        assert torch.equal(built, instantiate(cfg.model).weight)
    assert yaml.safe_load(config_text(cfg))["model"]["in_features"] == 2


def test_an_object_in_a_config_is_a_sentence(path: str) -> None:
    cfg = load_config(path)
    cfg.train.seed = torch.float32
    with pytest.raises(UserError, match=r"config option train.seed is a dtype"):
        config_text(cfg)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("train.epochs=0", "train.epochs=0 must be a positive number"),
        ("train.epochs=many", "train.epochs=many must be a number"),
        ("train.log_period=null", "train.log_period=None must be a positive whole number"),
        ("train.log_period=1.5", "train.log_period=1.5 must be a positive whole number"),
        ("train.clip_grad_norm=-1", "train.clip_grad_norm=-1 must be a positive number, or null"),
        ("train.eval_period_epochs=-1", "must be a number that is not negative"),
        ("train.amp.enabled=perhaps", "train.amp.enabled=perhaps must be true or false"),
        ("train.max_iter=1.5", "train.max_iter=1.5 must be a whole number, or null"),
        ("train.seed=-1", "train.seed=-1 must be a whole number"),
        ("train.accumulate=3", r"total_batch_size=4 cannot be divided .* multiple of 3"),
        ("train.amp={enabled: true, dtype: float16}", "float16 needs CUDA"),
        ("train.device=tpu9", "train.device=tpu9 is not a device"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_sentence(path: str, override: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        resolve_config(load_config(path, [override]))


def test_an_error_of_the_data_comes_out_as_it_is(path: str, monkeypatch: Any) -> None:
    def fail(data: Any, loaders: object, for_training: bool) -> None:
        raise UserError("train.json does not exist")

    monkeypatch.setattr(resolve, "register_datasets", fail)
    with pytest.raises(UserError, match=r"^train.json does not exist$"):
        resolve_config(load_config(path))


def test_an_output_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    prepare_output(str(tmp_path / "a" / "b"))
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"cannot write to train.output_dir=.*file"):
            prepare_output(str(folder))


@pytest.mark.usefixtures("ten_images")
def test_the_rate_follows_the_batch_once(path: str, tmp_path: Path) -> None:
    overrides = ["dataloader.train.total_batch_size=4", "optimizer.lr=2e-4"]
    cfg = load_config(path, [*overrides, "train.reference_batch=16"])
    resolve_config(cfg)
    assert cfg.optimizer.lr == pytest.approx(0.5e-4)
    saved = tmp_path / "saved.yaml"
    save_config(cfg, saved)
    again = load_config(str(saved))
    resolve_config(again)
    assert again.optimizer.lr == cfg.optimizer.lr
    assert again.train.reference_batch is None
    as_it_is = load_config(path, overrides)
    resolve_config(as_it_is)
    assert as_it_is.optimizer.lr == 2e-4
    with pytest.raises(UserError, match="train.reference_batch=0 must be a positive whole number"):
        resolve_config(load_config(path, ["train.reference_batch=0"]))


def test_a_schedule_that_does_not_fit_is_told_before_the_data_are_read(path: str) -> None:
    options = ["train.epochs=12", "lr_multiplier.milestones=[40]"]
    reason = (
        r"lr_multiplier.milestones=\[40\]: 40 does not lie between 0 and train.epochs=12; "
        r"set both, for example train.epochs=12 lr_multiplier.milestones=\[10\]"
    )
    with pytest.raises(UserError, match=reason):
        resolve_config(load_config(path, [*options, "+data.val_json=unread.json"]))
