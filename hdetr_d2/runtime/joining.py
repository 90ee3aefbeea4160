"""Merges the objects found in overlapping tiles of an image."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hdetr_d2.runtime.shapes import Masks, Shapes

# As a fraction of a tile's side: an object that ends this close to the edge may continue beyond it.
NEAR_EDGE = 0.01


class Tile(NamedTuple):
    """A part of an image, in pixels of the image; `bottom` and `right` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Join:
    """Merges detections of the same object in different tiles, separately for each class.

    In order of decreasing score, each detection suppresses those in other tiles that overlap it
    with an IoU of at least `iou_threshold`. If a detection is cut off by the edge of its tile
    (where the image continues), its score is halved for this order, so that complete objects come
    first, and it is suppressed by anything that covers half of it. If no tile contains the complete
    object, its parts are merged into their bounding box. Detections in the same tile do not affect
    each other, because the model has already separated them.

    Args:
        iou_threshold: IoU from which two boxes count as the same object.
        min_score: lower-scored detections are dropped.
    """

    def __init__(self, *, iou_threshold: float = 0.5, min_score: float = 0.05) -> None:
        self.iou_threshold = iou_threshold
        self.min_score = min_score

    def __call__(self, parts: Sequence[tuple[Tile, Shapes]], size: tuple[int, int]) -> Shapes:
        """Merges objects found in the tiles, given in pixels of the tile, into the objects of an
        image of `size` (H, W), best first.
        """
        parts = [(tile, shapes.above(self.min_score)) for tile, shapes in parts]
        corners = [np.array([tile.left, tile.top] * 2, np.float32) for tile, _ in parts]
        boxes = np.concatenate([s.boxes + c for (_, s), c in zip(parts, corners, strict=True)])
        classes = np.concatenate([np.asarray(shapes.classes) for _, shapes in parts])
        scores = np.concatenate([np.asarray(shapes.scores) for _, shapes in parts])
        tiles = np.repeat(np.arange(len(parts)), [len(shapes) for _, shapes in parts])
        cut = np.concatenate([_is_cut(shapes.boxes, tile, size) for tile, shapes in parts])
        kept = []
        for label in np.unique(classes):
            own = np.flatnonzero(classes == label)
            own = own[np.argsort(-np.where(cut, scores / 2, scores)[own], kind="stable")]
            chosen, around = self._stand_for_all(boxes[own], cut[own], tiles[own])
            kept.append(own[chosen])
            boxes[own[chosen]] = around
        order = np.concatenate(kept) if kept else np.zeros(0, int)
        order = order[np.argsort(-scores[order], kind="stable")]
        masks = None
        if any(shapes.masks is not None for _, shapes in parts):
            seen = [(tile, shapes.masks) for tile, shapes in parts if shapes.masks is not None]
            placed = [(masks, i, tile) for tile, masks in seen for i in range(len(masks))]
            masks = PlacedMasks([placed[index] for index in order], size)
        return Shapes(boxes[order], classes[order], scores[order], masks)

    def _stand_for_all(
        self, boxes: np.ndarray, cut: np.ndarray, tiles: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """For sorted detections of one class: the indices of those that are kept, and their
        boxes.
        """
        boxes, left = boxes.copy(), np.ones(len(boxes), bool)
        for index in range(len(boxes)):
            if not left[index]:
                continue
            later = (
                index + 1 + np.flatnonzero(left[index + 1 :] & (tiles[index + 1 :] != tiles[index]))
            )
            inside, areas, own = _overlap(boxes[index], boxes[later])
            union = np.maximum(areas + own - inside, 1e-9)
            same = inside >= self.iou_threshold * union
            same |= cut[later] & (inside >= 0.5 * np.maximum(areas, 1e-9))
            gone = later[same]
            left[gone] = False
            if cut[index] and len(rest := boxes[gone[cut[gone]]]):
                boxes[index, :2] = np.minimum(boxes[index, :2], rest[:, :2].min(0))
                boxes[index, 2:] = np.maximum(boxes[index, 2:], rest[:, 2:].max(0))
        chosen = np.flatnonzero(left)
        return chosen, boxes[chosen]


def _is_cut(boxes: np.ndarray, tile: Tile, size: tuple[int, int]) -> np.ndarray:
    """Whether boxes [N, 4], in pixels of the tile, end at an edge beyond which the image continues:
    bool [N].
    """
    height, width = tile.bottom - tile.top, tile.right - tile.left
    near = np.array([width, height], np.float32) * NEAR_EDGE
    boxes = np.asarray(boxes)
    starts = (boxes[:, :2] <= near) & np.array([tile.left > 0, tile.top > 0])
    goes_on = np.array([tile.right < size[1], tile.bottom < size[0]])
    ends = (boxes[:, 2:] >= np.array([width, height]) - near) & goes_on
    return (starts | ends).any(1)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The intersection areas of a box with boxes [N, 4], the areas of these, and its own area."""
    corner, end = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inside = np.maximum(end - corner, 0).prod(1)
    return inside, (boxes[:, 2:] - boxes[:, :2]).prod(1), float((box[2:] - box[:2]).prod())


class PlacedMasks:
    """Masks in tiles as masks of the whole image, each created on access.

    Args:
        placed: for each object, the masks of its tile, its index there, and the tile.
        size: (H, W) of the image.
    """

    def __init__(self, placed: Sequence[tuple[Masks, int, Tile]], size: tuple[int, int]) -> None:
        self.placed = placed
        self.size = size

    def __len__(self) -> int:
        return len(self.placed)

    def __getitem__(self, chosen: Any) -> "PlacedMasks":
        """The masks selected by a slice, indices or bool [N]."""
        indices = np.arange(len(self))[chosen]
        return PlacedMasks([self.placed[index] for index in indices], self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        for masks, index, tile in self.placed:
            whole = np.zeros(self.size, bool)
            (mask,) = masks[index : index + 1]
            whole[tile.top : tile.bottom, tile.left : tile.right] = np.asarray(mask)
            yield whole
