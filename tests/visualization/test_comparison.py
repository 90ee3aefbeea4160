from pathlib import Path

from PIL import Image

from hdetr_d2.visualization import plot_comparison


def test_the_picture_of_runs_that_are_done_and_of_some_that_are_not(tmp_path: Path) -> None:
    done = [{"iteration": 9, "bbox/AP": 1.0}, {"iteration": 14}, {"iteration": 19, "bbox/AP": 2.0}]
    runs = {"one": [done, done[:1]], "other": [[{"iteration": 4}]]}
    assert Image.open(plot_comparison(runs, tmp_path / "new" / "ap.png")).format == "PNG"
