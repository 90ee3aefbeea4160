"""Draws score maps over images, and curves, of several models side by side."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hdetr_d2.analysis.look import Look
from hdetr_d2.analysis.overlap import Overlap
from hdetr_d2.analysis.runs import Change
from hdetr_d2.analysis.study import PARTS, Study


def draw_score_maps(studies: Mapping[str, Study]) -> Figure:
    """One row for each stored image: the image with its objects, then for each model the score maps
    of encoder features and decoder attention.
    """
    (first, *_) = studies.values()
    rows, columns = len(first.looks), 1 + len(PARTS) * len(studies)
    figure = Figure(figsize=(3.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, row in enumerate(axes):
        _draw_image(row[0], first.looks[index])
        looks = [(name, study.looks[index]) for name, study in studies.items()]
        pairs = [(name, part, look) for name, look in looks for part in PARTS]
        for place, (name, part, look) in zip(row[1:], pairs, strict=True):
            _draw_scores(place, look, part)
            if not index:
                place.set_title(f"{name}: {part}")
    return figure


def _draw_image(axes: Axes, look: Look, alpha: float = 1.0) -> None:
    axes.imshow(look.image.permute(1, 2, 0).numpy(), alpha=alpha)
    axes.set_axis_off()
    for x0, y0, x1, y1 in look.boxes.tolist():
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="white"))


def _draw_scores(axes: Axes, look: Look, part: str) -> None:
    _draw_image(axes, look)
    scores = getattr(look, part).numpy()
    # Colours range from the map's minimum to its maximum
    axes.imshow(scores, cmap="jet", alpha=0.6)


def draw_overlaps(studies: Mapping[str, Study]) -> Figure:
    """The IoF-IoB curves of all models, for the features and for the attention."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    places = figure.subplots(1, len(PARTS), sharey=True)
    for axes, part in zip(places, PARTS, strict=True):
        for name, study in studies.items():
            curve: Overlap = getattr(study, part)
            label = f"{name}: {curve.area:.3f}"
            axes.plot(curve.iob, curve.iof, label=label)
        axes.plot([0, 1], [1, 0], color="0.7", linestyle=":")
        axes.set(title=f"{part} (area below)", xlabel="IoB: background left out", xlim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
    places[0].set(ylabel="IoF: objects found", ylim=(0, 1))
    return figure


def draw_instability(changes: Sequence[Change]) -> Figure:
    """IS over the iterations of each run; there must be at least one change."""
    runs: dict[str, list[tuple[int, float]]] = {}
    for change in changes:
        assert change.after.run is not None and change.after.iteration is not None
        point = (change.after.iteration, change.instability.queries)
        runs.setdefault(change.after.run, []).append(point)
    names = {c.after.run: c.after.name for c in changes}
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for run, points in runs.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=names[run])
    axes.set(title="instability of the matching", xlabel="iteration", ylim=(0, None))
    axes.set_ylabel("queries of an image with another target")
    axes.grid(alpha=0.3)
    axes.legend(title="up to")
    return figure
