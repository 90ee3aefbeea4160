"""Curves of a training run, drawn from the trainer's metrics.json."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hdetr_d2.errors import UserError
from hdetr_d2.losses import is_of_last_layer

Row = Mapping[str, float]
Curve = tuple[list[float], list[float]]
LOSS_COLORS = {"class": "tab:blue", "bbox": "tab:orange", "giou": "tab:green", "mask": "tab:red"}
LINE_STYLES = ("-", "--", ":", "-.")


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.json, one per line, sorted by iteration.

    A run that was killed and resumed, or restarted in the same folder, writes some iterations
    twice: the later row is kept. Numbers that are not finite (null, or NaN and Infinity in files of
    other writers) are dropped from their rows.

    Raises:
        UserError: the file does not exist, a line is not JSON (except for a truncated last line,
            which is ignored), or it contains no iterations.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no training metrics: {path} is not a file")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, float]] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line, parse_constant=lambda _: None)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise UserError(f"{path}, line {number} is not JSON: {error.msg}") from None
        if "iteration" in row:
            if rows and rows[-1]["iteration"] > row["iteration"]:
                rows = [kept for kept in rows if kept["iteration"] < row["iteration"]]
            rows.append({k: value for k, value in row.items() if value is not None})
    if not rows:
        raise UserError(f"{path} holds no iteration yet")
    return rows


def plot_metrics(metrics: str | Path, output: str | Path) -> Path:
    """Draws losses, AP or PQ, and learning rate of a run over its iterations.

    Args:
        metrics: a metrics.json.
        output: the picture to write; its ending determines the format.

    Returns:
        The path of the picture.
    """
    rows = read_metrics(metrics)
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    total, terms, precision, rate = figure.subplots(2, 2, sharex=True).ravel()
    _plot_total(total, rows)
    _plot_terms(terms, rows)
    _plot_precision(precision, rows)
    _plot_rate(rate, rows)
    for axes in (precision, rate):
        axes.set_xlabel("iteration")
    for axes in (total, terms, precision, rate):
        axes.grid(alpha=0.3)
        axes.margins(x=0.02)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)
    return output


def _curve(rows: Iterable[Row], key: str) -> Curve:
    points = [(row["iteration"], row[key]) for row in rows if key in row]
    return [x for x, _ in points], [y for _, y in points]


def _smooth(values: Sequence[float], keep: float = 0.5) -> list[float]:
    """Exponential moving average whose start is not biased towards zero."""
    smoothed, level, weight = [], 0.0, 0.0
    for value in values:
        level = keep * level + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smoothed.append(level / weight)
    return smoothed


def _plot_rate(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_title("learning rate")
    axes.plot(*_curve(rows, "lr"), color="tab:purple")
    axes.set_ylim(bottom=0)


def _plot_total(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_title("total loss (weighted sum over all layers and groups)")
    iterations, losses = _curve(rows, "total_loss")
    axes.plot(iterations, losses, color="black", alpha=0.25)
    axes.plot(iterations, _smooth(losses), color="black")


def _plot_terms(axes: Axes, rows: Sequence[Row]) -> None:
    """Losses of the last layer of every group: colour by loss, line style by group."""
    keys = {key for row in rows for key in row}
    names = sorted(filter(is_of_last_layer, keys))
    groups = sorted({_split(name)[1] for name in names})
    axes.set_title("loss terms, last layer (weighted)")
    for name in names:
        loss, group = _split(name)
        iterations, values = _curve(rows, name)
        style = LINE_STYLES[groups.index(group) % len(LINE_STYLES)]
        axes.plot(
            iterations, _smooth(values), style, color=LOSS_COLORS.get(loss, "grey"), label=name
        )
    if names:
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="small", ncols=1 + len(names) // 7)


def _split(name: str) -> tuple[str, str]:
    """`loss_bbox_one2many` -> ("bbox", "one2many")."""
    loss, _, group = name.removeprefix("loss_").partition("_")
    return loss, group


def _plot_precision(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_title("validation AP or PQ (of 100)")
    keys = sorted({key for row in rows for key in row if re.search(r"(^|/)(AP|AP50|PQ)$", key)})
    for key in keys:
        iterations, values = _curve(rows, key)
        # Evaluations are few: dots show when they were made.
        axes.plot(iterations, values, marker="o", markersize=4, label=f"{key}: {values[-1]:.1f}")
    if keys:
        axes.set_ylim(bottom=0)
        axes.legend(loc="best", fontsize="small")
    else:
        axes.text(0.5, 0.5, "no evaluation yet", ha="center", transform=axes.transAxes)
