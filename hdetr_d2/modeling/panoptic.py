"""Merges masks of things and stuff into one segment per pixel (DETR,
https://arxiv.org/abs/2005.12872, section 4.4).
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Panoptic: TypeAlias = tuple[Tensor, list[dict]]
"""Detectron2's "panoptic_seg": `Tensor[H, W]` int32 with the id of each pixel's segment, 0 for
none, and a dict with `id`, `isthing`, `category_id`, `score` and `area` of each segment."""


class PanopticMerger:
    """Assigns every pixel to the query with the highest mask logit there, the argmax of a softmax
    over the masks.

    Args:
        thing_classes: indices of the countable classes; all masks of any other class are merged
            into one segment.
        threshold: queries whose best score is lower are dropped.
        min_area: segments with at most this many pixels are dropped, and their pixels go to others.
    """

    def __init__(
        self, *, thing_classes: Sequence[int], threshold: float = 0.85, min_area: int = 4
    ) -> None:
        self.thing_classes = frozenset(thing_classes)
        self.threshold = threshold
        self.min_area = min_area

    def select(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Indices, scores and classes, `Tensor[n]` each, of the queries above the threshold, from
        scores `Tensor[Q, K]`.
        """
        best, labels = scores.max(-1)
        keep = torch.where(best > self.threshold)[0]
        return keep, best[keep], labels[keep]

    def __call__(
        self, logits: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> Panoptic:
        """The segments of one image.

        Args:
            logits: `Tensor[n, h, w]`, masks of the selected queries in pixels of the model's input;
                pixels where all are -inf belong to no segment.
            scores: `Tensor[n]`.
            labels: `Tensor[n]` int64.
            size: (H, W) of the result.
        """
        logits, segments = self._join_stuff(logits, scores.tolist(), labels.tolist())
        while segments:
            winner = (logits.argmax(0) + 1).masked_fill(logits.amax(0).isneginf(), 0)
            # The pixel under the centre of the new one, as in image libraries.
            winner = F.interpolate(winner[None, None].float(), size, mode="nearest-exact")
            ids = winner[0, 0].int()
            areas = ids.flatten().bincount(minlength=len(segments) + 1)[1:].tolist()
            kept = [index for index, area in enumerate(areas) if area > self.min_area]
            if len(kept) == len(segments):
                found = zip(segments, areas, strict=True)
                return ids, [
                    {"id": index, **segment, "area": area}
                    for index, (segment, area) in enumerate(found, 1)
                ]
            logits, segments = logits[kept], [segments[index] for index in kept]
        return logits.new_zeros(size, dtype=torch.int32), []

    def _join_stuff(
        self, logits: Tensor, scores: Sequence[float], labels: Sequence[int]
    ) -> tuple[Tensor, list[dict]]:
        """Masks and descriptions with all masks of a stuff class merged: the highest logit of each
        pixel.
        """
        members: dict[tuple[int, int], list[int]] = {}
        for index, label in enumerate(labels):
            own = index if label in self.thing_classes else -1
            members.setdefault((label, own), []).append(index)
        joined = [logits[rows].amax(0) for rows in members.values()]
        segments = [
            {
                "isthing": label in self.thing_classes,
                "category_id": label,
                "score": max(scores[row] for row in rows),
            }
            for (label, _), rows in members.items()
        ]
        return torch.stack(joined) if joined else logits, segments
