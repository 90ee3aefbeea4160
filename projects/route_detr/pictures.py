"""Bias and gate of every routed layer as matrices, and links between the queries that they separate
or connect.
"""

from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from torch import Tensor

from hdetr_d2.projects.route_detr.recording import Recording
from hdetr_d2.projects.route_detr.router import Routing

SUPPRESSED, DELEGATED = "tab:red", "tab:blue"


class Link(NamedTuple):
    """Query `row` attends to query `column`, with this bias on its score."""

    row: int
    column: int
    bias: float


def links(bias: Tensor, number: int, *, suppressed: bool) -> list[Link]:
    """The pairs of different queries with the most negative or most positive bias: this many, or
    fewer if there are fewer.

    Args:
        bias: `Tensor[N, N]`.
    """
    ranked = bias.masked_fill(torch.eye(len(bias), dtype=torch.bool), 0.0).flatten()
    best = ranked.topk(min(number, len(ranked)), largest=not suppressed)
    found = [
        Link(index // len(bias), index % len(bias), value)
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    return [link for link in found if (link.bias < 0 if suppressed else link.bias > 0)]


def draw_routing(image: Image.Image, recording: Recording, *, num_links: int = 12) -> Figure:
    """One row for each routed layer: its bias, the suppressor's share, and the links on the image.

    Args:
        recording: of the queries to draw.
        num_links: of each kind.
    """
    layers = sorted(recording.routings)
    figure = Figure(figsize=(15, 4.6 * len(layers)), layout="constrained")
    axes = figure.subplots(len(layers), 3, squeeze=False)
    for row, layer in zip(axes, layers, strict=True):
        routing = recording.routings[layer]
        _draw_matrices(figure, row[0], row[1], routing)
        _draw_links(row[2], image, recording.boxes, routing.bias, num_links)
        row[0].set_ylabel(f"layer {layer}\nquery that looks")
        row[0].set_title("bias of the score")
        row[1].set_title("part of the suppressor")
        row[2].set_title("most suppressed (red) and most delegated (blue)")
    for matrix in axes[-1][:2]:
        matrix.set_xlabel("query that is seen, the surest first")
    return figure


def _draw_matrices(figure: Figure, left: Axes, right: Axes, routing: Routing) -> None:
    most = max(routing.bias.abs().max().item(), 1e-6)
    bias, gate = routing.bias.numpy(), routing.gate.numpy()
    figure.colorbar(left.imshow(bias, cmap="RdBu", vmin=-most, vmax=most), ax=left)
    figure.colorbar(right.imshow(gate, cmap="viridis", vmin=0, vmax=1), ax=right)


def _draw_links(axes: Axes, image: Image.Image, boxes: Tensor, bias: Tensor, number: int) -> None:
    size = torch.tensor(image.size)
    centres, sides = boxes[:, :2] * size, boxes[:, 2:] * size
    axes.imshow(image, alpha=0.6)
    axes.set_axis_off()
    for suppressed, color in ((True, SUPPRESSED), (False, DELEGATED)):
        for link in links(bias, number, suppressed=suppressed):
            for query in (link.row, link.column):
                corner = (centres[query] - sides[query] / 2).tolist()
                width, height = sides[query].tolist()
                axes.add_patch(
                    Rectangle(tuple(corner), width, height, fill=False, color="0.4", linewidth=0.5)
                )
            ends = [tuple(centres[query].tolist()) for query in (link.row, link.column)]
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="->", mutation_scale=9, color=color))
