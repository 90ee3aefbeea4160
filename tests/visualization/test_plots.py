import json
from pathlib import Path

import pytest
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.visualization import plot_metrics, read_metrics


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_resumed_run_keeps_the_later_rows(tmp_path: Path) -> None:
    rows = [
        {"iteration": i, "total_loss": loss} for i, loss in ((19, 5), (39, 4), (59, 3), (39, 2))
    ]
    kept = read_metrics(write(tmp_path / "metrics.json", *rows))
    assert [row["iteration"] for row in kept] == [19, 39]
    assert kept[-1]["total_loss"] == 2


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.json", {"iteration": 19, "total_loss": 1.0})
    path.write_text(path.read_text() + '{"iteration": 39, "tot')
    assert [row["iteration"] for row in read_metrics(path)] == [19]


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(
        '{"iteration": 0, "total_loss": 2.0, "bbox/AP": null}\n'
        '{"iteration": 1, "total_loss": NaN, "lr": -Infinity, "bbox/AP": NaN}\n'
        '{"iteration": 2, "total_loss": Infinity, "lr": 0.5}\n'
    )
    assert read_metrics(path) == [
        {"iteration": 0, "total_loss": 2.0},
        {"iteration": 1},
        {"iteration": 2, "lr": 0.5},
    ]
    plot_metrics(path, tmp_path / "curves.svg")
    assert "no evaluation yet" in (tmp_path / "curves.svg").read_text()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing.json"):
        read_metrics(tmp_path / "nothing.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{"iteration": 1\n{"iteration": 2}\n')
    with pytest.raises(UserError, match="line 1 is not JSON"):
        read_metrics(broken)
    broken.write_text("")
    with pytest.raises(UserError, match="no iteration yet"):
        read_metrics(broken)


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    losses = {"total_loss": 3.0, "loss_class": 1.0, "loss_class_0": 1.0, "loss_bbox_enc": 1.0}
    rows = [{"iteration": i, "lr": 1e-4, **losses} for i in (19, 39)]
    metrics = write(tmp_path / "metrics.json", *rows, {"iteration": 39, "bbox/AP": 12.0})
    picture = plot_metrics(metrics, tmp_path / "new" / "curves.png")
    assert Image.open(picture).format == "PNG"


def test_panoptic_quality_is_an_evaluation(tmp_path: Path) -> None:
    row = {"iteration": 19, "panoptic_seg/PQ": 40.0, "panoptic_seg/PQ_th": 41.0}
    plot_metrics(write(tmp_path / "metrics.json", row), tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert "<!-- panoptic_seg/PQ: 40.0 -->" in drawn
    assert "no evaluation yet" not in drawn and "PQ_th" not in drawn


def test_a_run_without_losses_or_evaluation_can_be_drawn(tmp_path: Path) -> None:
    metrics = write(tmp_path / "metrics.json", {"iteration": 0})
    assert plot_metrics(metrics, tmp_path / "curves.png").is_file()
