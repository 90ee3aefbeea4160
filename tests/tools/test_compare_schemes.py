"""tools/compare_schemes.py: runs, table and picture."""

import csv
import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from threading import Barrier
from types import ModuleType

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from hdetr_d2.engine.config import load_config, save_config
from hdetr_d2.errors import UserError

SMALL = ["train.max_iter=5", "train.log_period=1", "dataloader.train.num_workers=0"]
SMALL += ["dataloader.test.num_workers=0", "train.device=cpu"]
SMALL += [f"data.generate.{option}" for option in ("num_train=4", "num_val=2", "image_size=64")]
SMALL += ["model.neck.out_channels=32", "model.encoder.sizes.feedforward_dim=32"]


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("hdetr_d2.commands.compare_schemes")


def test_a_scheme_is_trained_and_judged(
    script: ModuleType, run_python: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], env: dict[str, str]) -> CompletedProcess:
        return run_python(*command[1:], environment=env)

    monkeypatch.setattr(subprocess, "run", run)
    output = tmp_path / "out"
    given = [str(output), "--schemes", "hybrid_branch", "--seeds", "1"]
    given += ["--set", *SMALL, f"data.generate.root={tmp_path}/shapes"]
    assert script.main(given) == 0
    rows = (output / "table.md").read_text().splitlines()
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == list(script.COLUMNS)
    cells = [cell.strip() for cell in rows[2].split("|")[1:-1]]
    assert cells[:2] == ["hybrid_branch", "0.0"]
    assert float(cells[-2]) > 0 and float(cells[-1]) > 0
    assert Image.open(output / "ap.png").format == "PNG"
    assert (output / "hybrid_branch" / "seed_1" / "model_final.pth").is_file()

    def not_again(command: list[str], **_: object) -> None:
        raise AssertionError(f"{command} was run")

    monkeypatch.setattr(subprocess, "run", not_again)
    assert script.main(given) == 0
    with pytest.raises(AssertionError, match=r"was run"):
        script.main([*given, "optimizer.lr=1e-5"])


def test_conditions_are_options_of_the_config(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = load_config(script.CONFIG)
    cfg.conditions = {"short": {"train.epochs": 2}, "long": {"train.epochs": 9}}
    save_config(cfg, tmp_path / "conditions.yaml")
    runs = []

    def train(cfg: DictConfig, threads: int) -> list[dict[str, float]]:
        folder = Path(cfg.train.output_dir).relative_to(tmp_path)
        runs.append((str(folder), cfg.train.epochs))
        return [{"iteration": 1, "time": 1.0, "bbox/AP": 10.0 * cfg.train.epochs}]

    monkeypatch.setattr(script, "train", train)
    given = [str(tmp_path), "--config-file", str(tmp_path / "conditions.yaml"), "--seeds", "3"]
    given += ["--schemes", "one_to_one", "hybrid_layer"]
    assert script.main(given) == 0
    assert runs == [
        ("short/one_to_one/seed_3", 2),
        ("short/hybrid_layer/seed_3", 2),
        ("long/one_to_one/seed_3", 9),
        ("long/hybrid_layer/seed_3", 9),
    ]
    rows = (tmp_path / "table.md").read_text().splitlines()[2:6]
    cells = [[cell.strip() for cell in row.split("|")[1:4]] for row in rows]
    assert cells[0] == ["short", "one_to_one", "20.0"]
    assert cells[3] == ["long", "hybrid_layer", "90.0"]
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        listed = [*csv.DictReader(file)]
    assert [row["AP"] for row in listed] == ["20.000", "20.000", "90.000", "90.000"]
    assert listed[3]["condition"] == "long" and listed[3]["scheme"] == "hybrid_layer"
    assert listed[3]["seed"] == "3" and listed[3]["AR"] == ""
    for picture in ("conditions.png", "short/ap.png", "long/ap.png"):
        assert Image.open(tmp_path / picture).format == "PNG"


def test_a_condition_replaces_whole_nodes(script: ModuleType) -> None:
    cfg = OmegaConf.create({"backbone": {"name": "a", "frozen": 2}, "epochs": 3})
    script.replace(cfg, OmegaConf.create({"backbone": {"name": "b"}, "epochs": 9}))
    assert cfg == {"backbone": {"name": "b"}, "epochs": 9}
    for absent in ("epoch", "backbone.frozen", "neck.name"):
        with pytest.raises(UserError, match=f"replaces {absent}, which the config does not have"):
            script.replace(cfg, OmegaConf.create({absent: 1}))


def test_runs_at_once_share_the_cores(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2, timeout=60)  # raises for runs one after the other

    def train(cfg: DictConfig, threads: int) -> list[dict[str, float]]:
        both.wait()
        return [{"iteration": 1, "time": threads, "bbox/AP": 10.0 * cfg.train.seed}]

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    given = [str(tmp_path), "--at-once", "2", "--schemes", "one_to_one", "hybrid_layer"]
    assert script.main([*given, "--seeds", "1", "2"]) == 0
    for row in (tmp_path / "table.md").read_text().splitlines()[2:4]:
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert cells[1] == "15.0 ± 7.1" and cells[-2] == "3000.0 ± 0.0"


@pytest.mark.parametrize("node", ["schemes", "conditions"])
def test_what_the_config_does_not_have_is_one_sentence(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], node: str
) -> None:
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), f"--{node}", "hybrid_tree"])
    kind = {"schemes": "contenders"}.get(node, node)
    assert f"the config has no {kind} ['hybrid_tree'], it has [" in capsys.readouterr().err


def test_no_run_at_once_is_one_sentence(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), "--at-once", "0"])
    assert "--at-once 0 must be at least 1" in capsys.readouterr().err


def test_spread(script: ModuleType) -> None:
    assert script.spread([40.0, 42.0]) == "41.0 ± 1.4"
    assert script.spread([1234.4], 0) == "1234"
    assert script.spread([]) == ""
