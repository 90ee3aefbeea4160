"""`hdetr-d2 COMMAND`: what it starts, and that nothing heavy is imported before."""

from hdetr_d2 import __main__ as commands

import argparse
import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
SCRIPTS = sorted((ROOT / "tools").glob("*.py")) + [ROOT / "train_net.py"]
MODULES = {name: module for name, (module, _) in commands.COMMANDS.items()}


@pytest.mark.parametrize("name", MODULES)
def test_every_command_answers_under_its_own_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "doctor":  # takes no arguments
        assert callable(importlib.import_module(MODULES[name]).main)
        return
    monkeypatch.setattr(sys, "argv", ["/bin/hdetr-d2", name, "--help"])
    with pytest.raises(SystemExit) as caught:
        commands.main()
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: hdetr-d2 {name} ")


def test_arguments_and_exit_status_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hdetr-d2", "check-data", "gone.json", "images"])
    assert commands.main() == 2
    assert "gone.json" in capsys.readouterr().err


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    module = importlib.import_module(MODULES["check-data"])
    monkeypatch.setattr(module, "main", interrupted)
    monkeypatch.setattr(sys, "argv", ["hdetr-d2", "check-data", "pets"])
    assert commands.main() == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_help_lists_the_commands_without_importing_torch(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['hdetr-d2', '--help']; from hdetr_d2.__main__ import main\n"
    code += "try: main()\nexcept SystemExit: print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert done.stdout.splitlines()[-1] == "False"
    assert all(f"\n  {name} " in done.stdout for name in MODULES)


def test_an_unknown_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hdetr-d2", "fly"])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert "invalid choice: 'fly'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("hdetr_d2", "train"), ("hdetr_d2.engine.main",)], ids=lambda given: given[0]
)
def test_training_finds_the_recipes_without_a_clone(
    run_python: Callable, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    name = "quickstart/deformable_detr_shapes.py"
    command = ["-m", *arguments, "--config-file", name, "train.epoch=3"]
    done = run_python(*command, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: unknown option train.epoch: did you")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_start_commands(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(path), run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {path.name} ")


def test_class_names_go_to_any_console(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png", "width": 40, "height": 30}
    found = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 9], "iscrowd": 0}
    categories = [{"id": 1, "name": "Weißes Körperchen"}]
    content = {"images": [image], "annotations": [found], "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [
        sys.executable,
        "-m",
        "hdetr_d2",
        "check-data",
        str(tmp_path / "a.json"),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | ascii_alone)
    assert done.returncode == 0, done.stderr
    assert r"Wei\xdfes K\xf6rperchen" in done.stdout


def test_the_console_script_is_installed() -> None:
    assert '"hdetr-d2 = hdetr_d2.__main__:main"' in (ROOT / "setup.py").read_text()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("PASSIVE", "4000")),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
        ({"GOMP_SPINCOUNT": "7"}, ("PASSIVE", "7")),
    ],
    ids=["by default", "policy given", "spins given"],
)
def test_threads_wait_as_the_environment_says(
    given: dict[str, str], expected: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setitem(commands.COMMANDS, "nothing", ("tests_nothing", ""))
    monkeypatch.setattr(commands, "own_module", lambda *_: argparse.Namespace(main=lambda: 0))
    monkeypatch.setattr(sys, "argv", [])
    assert commands.start("nothing", ["hdetr-d2 nothing"]) == 0
    assert tuple(map(os.environ.get, ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"))) == expected
