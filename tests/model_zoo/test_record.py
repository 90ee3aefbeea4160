"""Figures and pictures are those of the checkpoint's own run, or there are none."""

import json
import os
from pathlib import Path

import pytest

from hdetr_d2.model_zoo.record import Record

ROWS = [
    {"iteration": 9, "lr": 0.1, "total_loss": 4.0, "bbox/AP": 10.0, "bbox/AP-a cat": 12.0},
    {"iteration": 14, "lr": 0.1, "total_loss": 3.0, "data/targets": 8},
    {
        "iteration": 19,
        "lr": 0.1,
        "total_loss": 2.0,
        "bbox/AP": 20.5,
        "bbox/AP50": 40.0,
        "bbox/APl": None,
        "bbox/AP_nms": 21.0,
        "bbox/doubles": 3.0,
        "bbox/AP-a cat": 22.0,
        "bbox/AP-50": 19.0,
        "segm/AP": 18.0,
        "panoptic_seg/PQ_th": 30.0,
        "time/AP": 1.0,
    },
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of 20 iterations, evaluated after 10 and 20."""
    (tmp_path / "metrics.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "last_evaluation").write_text("0a1b 20")
    for name in ("config.yaml", "contact_sheet.png"):
        (tmp_path / name).write_text("")
    return tmp_path


def record(folder: Path, iteration: int = 20, run: str = "0a1b") -> Record:
    return Record.of(folder / "model.pth", {"iteration": iteration, "run": run})


def test_figures_are_those_of_the_iteration(run: Path) -> None:
    assert record(run).figures() == {
        "bbox": {"AP": 20.5, "AP50": 40.0, "AP-a cat": 22.0, "AP-50": 19.0},
        "segm": {"AP": 18.0},
        "panoptic_seg": {"PQ_th": 30.0},
    }
    assert record(run, iteration=10).figures() == {"bbox": {"AP": 10.0, "AP-a cat": 12.0}}


@pytest.mark.parametrize("iteration", [5, 15, 21])
def test_what_was_not_evaluated_has_no_figures(run: Path, iteration: int) -> None:
    assert record(run, iteration=iteration).figures() == {}


def test_another_run_in_the_folder_tells_nothing(run: Path) -> None:
    other = record(run, run="ffff")
    assert (other.figures(), other.picture(), other.iteration) == ({}, None, 20)
    assert not other.draw_curves(run / "curves.png") and not (run / "curves.png").exists()


@pytest.mark.parametrize("metadata", [{}, {"iteration": 20}, {"run": "0a1b"}])
def test_a_checkpoint_of_no_run_has_none(tmp_path: Path, metadata: dict) -> None:
    found = Record.of(tmp_path / "model.pth", metadata)
    assert (found.folder, found.figures(), found.picture()) == (None, {}, None)
    assert Record.of(None, {"iteration": 20, "run": "0a1b"}) == Record()


def test_a_picture_that_is_older_than_the_run_is_of_another(run: Path) -> None:
    assert record(run).picture() == run / "contact_sheet.png"
    os.utime(run / "contact_sheet.png", (1, 1))
    assert record(run).picture() is None
    (run / "config.yaml").unlink()
    assert record(run).picture() is None


def test_curves_are_drawn(run: Path) -> None:
    assert record(run).draw_curves(run / "curves.png")
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
