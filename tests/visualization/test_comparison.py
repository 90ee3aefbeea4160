from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from hdetr_d2.visualization import plot_comparison, plot_conditions
from hdetr_d2.visualization.comparison import plot_gains


def test_the_picture_of_runs_that_are_done_and_of_some_that_are_not(tmp_path: Path) -> None:
    done = [{"iteration": 9, "bbox/AP": 1.0}, {"iteration": 14}, {"iteration": 19, "bbox/AP": 2.0}]
    runs = {"one": [done, done[:1]], "other": [[{"iteration": 4}]]}
    assert Image.open(plot_comparison(runs, tmp_path / "new" / "ap.png")).format == "PNG"


def test_the_picture_of_conditions(tmp_path: Path) -> None:
    one, two = ([{"iteration": 9, "bbox/AP": ap, "bbox/AR": ap}] for ap in (30.0, 32.5))
    results = {"short": {"a": [one, two], "b": [two]}, "long": {"a": [[{"iteration": 4}]], "b": []}}
    assert Image.open(plot_conditions(results, tmp_path / "new" / "gains.png")).format == "PNG"


def test_gains_are_counted_from_the_first_way(tmp_path: Path) -> None:
    axes = Figure().subplots()
    runs = {"a": [[{"AP": 30.0}], [{"AP": 34.0}]], "b": [[{"AP": 1.0}, {"AP": 37.0}]]}
    plot_gains(axes, {"short": runs}, "AP")
    points = [gain for dots in axes.collections for _, gain in dots.get_offsets().tolist()]
    assert points[:2] == [-2.0, 2.0] and 5.0 in points
