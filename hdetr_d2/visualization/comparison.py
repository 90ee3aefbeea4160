"""Curves of several training methods, each with runs for several seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hdetr_d2.visualization.plots import Row

Runs = Mapping[str, Sequence[Sequence[Row]]]
"""For each method, the rows of its runs' metrics, as returned by `read_metrics`."""


def plot_comparison(runs: Runs, output: str | Path, metric: str = "bbox/AP") -> Path:
    """Draws a metric over the iterations, and at the end of every run.

    Args:
        runs: of each method.
        output: the picture to write; its ending determines the format.
        metric: of an evaluation.

    Returns:
        The path of the picture.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    curves, ends = figure.subplots(1, 2, sharey=True)
    for index, (name, of_seeds) in enumerate(runs.items()):
        points = [[(r["iteration"], r[metric]) for r in rows if metric in r] for rows in of_seeds]
        _plot_way(curves, ends, index, name, [seed for seed in points if seed])
    curves.set(title=f"{metric}: mean and range of the seeds", xlabel="iteration", ylim=(0, None))
    curves.legend()
    ends.set(title="at the end: each seed, and the mean")
    ends.set_xticks(range(len(runs)), list(runs))
    for axes in (curves, ends):
        axes.grid(alpha=0.3)
    return _save(figure, output)


def plot_conditions(
    results: Mapping[str, Runs], output: str | Path, metrics: Sequence[str] = ("AP", "AP_nms", "AR")
) -> Path:
    """Draws how far each method ends above the first one of its condition, one picture per metric.

    Args:
        results: for each condition, the runs of each method.
        output: the picture to write; its ending determines the format.
        metrics: of the boxes.

    Returns:
        The path of the picture.
    """
    figure = Figure(figsize=(12, 3.2 * len(metrics)), layout="constrained")
    rows = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    for axes, metric in zip(rows, metrics, strict=True):
        plot_gains(axes, results, f"bbox/{metric}")
    return _save(figure, output)


def plot_gains(axes: Axes, results: Mapping[str, Runs], metric: str) -> None:
    """Draws the final `metric` of every run, minus the mean of the first method of its
    condition.
    """
    ways = list(dict.fromkeys(name for runs in results.values() for name in runs))
    for index, runs in enumerate(results.values()):
        ends = {
            name: [values[-1] for values in values_of(of_seeds, metric)]
            for name, of_seeds in runs.items()
        }
        first = next(iter(ends.values()), [])
        for name, values in ends.items():
            if values and first:
                gains = [value - sum(first) / len(first) for value in values]
                way = ways.index(name)
                place = index + 0.8 * ((way + 0.5) / len(ways) - 0.5)
                axes.scatter([place] * len(gains), gains, color=f"C{way}", s=12)
                axes.hlines(sum(gains) / len(gains), place - 0.03, place + 0.03, color=f"C{way}")
    for way, name in enumerate(ways):
        axes.scatter([], [], color=f"C{way}", label=name)
    axes.set(title=f"{metric}, above {ways[0]}: each seed, and the mean")
    axes.set_xticks(range(len(results)), list(results))
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=2)


def _save(figure: Figure, output: str | Path) -> Path:
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    return output


def values_of(of_seeds: Sequence[Sequence[Row]], metric: str) -> list[list[float]]:
    """The values of a metric along each run that has any."""
    found = ([row[metric] for row in rows if metric in row] for rows in of_seeds)
    return [values for values in found if values]


def _plot_way(
    curves: Axes,
    ends: Axes,
    index: int,
    name: str,
    seeds: Sequence[Sequence[tuple[float, float]]],
) -> None:
    """One method in both pictures; `seeds` are (iteration, value) of every evaluation."""
    if not seeds:
        return
    color = f"C{index}"
    evaluations = list(zip(*seeds, strict=False))  # unfinished runs have fewer
    iterations = [points[0][0] for points in evaluations]
    values = [[value for _, value in points] for points in evaluations]
    means = [sum(of_seeds) / len(of_seeds) for of_seeds in values]
    curves.plot(iterations, means, color=color, marker="o", markersize=4, label=name)
    low, high = [min(v) for v in values], [max(v) for v in values]
    curves.fill_between(iterations, low, high, color=color, alpha=0.15)
    ends.scatter([index] * len(values[-1]), values[-1], color=color)
    ends.hlines(means[-1], index - 0.2, index + 0.2, color=color)
