"""A detector's results on a data set."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hdetr_d2.analysis.look import Look, look
from hdetr_d2.analysis.overlap import Overlap, foreground_of, overlap
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import DETR

PARTS = ("features", "attention")
"""What score maps are made of: the encoder's features, and the decoder's attention."""


@dataclass(frozen=True)
class Study:
    """features, attention: mean curves of the images that have both objects and background. areas:
    for each of the two, the mean over these images of the area under each image's own curve.
    assignments: assignments in the last decoder layer, `Tensor[Q]` per image. looks: those of the
    first images.
    """

    features: Overlap
    attention: Overlap
    areas: Mapping[str, float]
    assignments: list[Tensor]
    looks: list[Look]


def study(
    model: DETR,
    mapper: Callable[[dict], dict[str, Any]],
    entries: Iterable[dict],
    *,
    all_queries: bool = False,
    keep: int = 0,
    picture: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Study:
    """Studies all images of `entries`, one by one.

    Args:
        model: in evaluation mode.
        mapper: maps a data set entry to an image with its "instances".
        all_queries: see `look`.
        keep: number of looks to keep for drawing.
        picture: maps the pixels of an image, [H, W, C], to the picture to draw, uint8 [H, W, 3].

    Raises:
        UserError: an image cannot be read, or none has both objects and background.
    """
    curves: dict[str, list[Overlap]] = {part: [] for part in PARTS}
    assignments, looks = list[Tensor](), list[Look]()
    for entry in entries:
        seen = look(model, mapper(entry), all_queries=all_queries)
        height, width = seen.features.shape
        foreground = foreground_of(seen.boxes, (height, width))
        for part in PARTS:
            if (curve := overlap(getattr(seen, part), foreground)) is not None:
                curves[part].append(curve)
        assignments.append(seen.assignment[-1])
        if len(looks) < keep:
            drawn = picture(seen.image.permute(1, 2, 0).numpy())
            looks.append(replace(seen, image=torch.from_numpy(drawn).permute(2, 0, 1)))
    if not all(curves.values()):
        raise UserError("no image has both objects and background: there is nothing to compare")
    means = {part: Overlap.mean(found) for part, found in curves.items()}
    areas = {part: statistics.fmean(curve.area for curve in curves[part]) for part in PARTS}
    return Study(**means, areas=areas, assignments=assignments, looks=looks)
