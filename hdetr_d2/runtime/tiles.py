"""Processes large images in tiles, for objects that would be too small in a downscaled image
(slicing aided inference, https://arxiv.org/abs/2202.06934).
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat
from hdetr_d2.pixels.interpolations import pillow
from hdetr_d2.runtime.checks import check_batch_size, check_real, check_whole
from hdetr_d2.runtime.joining import Join, Tile
from hdetr_d2.runtime.scaled import NearestMasks
from hdetr_d2.runtime.shapes import Shapes

if TYPE_CHECKING:
    from hdetr_d2.runtime.predictor import Detector

LEAST_SIDE = 32
MOST_OVERLAP = 0.9


class TiledDetector:
    """Finds the objects of an image in overlapping tiles and, for objects larger than a tile, in
    the whole image downscaled to the size of a tile; see `Detector`.

    Only the image itself and the pixels of `batch_size` tiles are held in memory: the memory of a
    forward pass does not depend on the image size.

    Args:
        detector: the detector to apply to each tile.
        side: side of a tile in pixels.
        overlap: minimum fraction of a tile shared with its neighbour: objects up to this size are
            complete in at least one tile.
        batch_size: number of tiles per forward pass.
        join: merges the objects of all tiles.

    Raises:
        UserError: an invalid tiling.
    """

    def __init__(
        self,
        detector: "Detector",
        *,
        side: int,
        overlap: float = 0.2,
        batch_size: int = 1,
        join: Join | None = None,
    ) -> None:
        check_whole(tile=side)
        if side < LEAST_SIDE:
            raise UserError(f"tile={side} must have at least {LEAST_SIDE} pixels")
        check_real(MOST_OVERLAP, overlap=overlap)
        if not 0 <= overlap <= MOST_OVERLAP:  # also rejects NaN
            raise UserError(f"overlap={overlap:g} must be from 0 to {MOST_OVERLAP:g}, of a tile")
        check_batch_size(batch_size)
        self.detector = detector
        self.side = side
        self.overlap = overlap
        self.batch_size = batch_size
        self.join = join or Join()

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.detector.class_names

    @property
    def image_format(self) -> ImageFormat:
        return self.detector.image_format

    def read(self, entry: dict) -> dict:
        """Reads the full image, [H, W, C]."""
        image = entry.get("image")
        image = self.image_format.read(entry["file_name"]) if image is None else image
        return {"file_name": entry["file_name"], "image": image}

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """See `Detector`."""
        return [self._find(**item) for item in batch]

    def _find(self, file_name: str, image: np.ndarray) -> Shapes:
        size = height, width = image.shape[0], image.shape[1]
        tiles = tiles_of(height, width, self.side, self.overlap)
        see = partial(self._see, file_name)
        if len(tiles) == 1:
            return see([image])[0]
        (large,) = see([_reduced(image, self.side)])
        found = [(Tile(0, 0, height, width), self._kept(_enlarged(large, size, self.side)))]
        for start in range(0, len(tiles), self.batch_size):
            some = tiles[start : start + self.batch_size]
            seen = see([image[t.top : t.bottom, t.left : t.right] for t in some])
            found += zip(some, map(self._kept, seen), strict=True)
        return self.join(found, size)

    def _see(self, file_name: str, parts: Sequence[np.ndarray]) -> list[Shapes]:
        entries = [{"file_name": file_name, "image": part} for part in parts]
        return self.detector.find([*map(self.detector.read, entries)])

    def _kept(self, shapes: Shapes) -> Shapes:
        return shapes.above(self.join.min_score)


def tiles_of(height: int, width: int, side: int, overlap: float) -> list[Tile]:
    """Tiles of `side` pixels (or of the image's own side, if shorter) that cover an image, row by
    row and evenly spaced; neighbours share at least `overlap` of a tile.
    """
    rows, columns = (_spread(length, side, overlap) for length in (height, width))
    return [
        Tile(top, left, min(top + side, height), min(left + side, width))
        for top, left in product(rows, columns)
    ]


def _spread(length: int, side: int, overlap: float) -> list[int]:
    """The start positions of tiles of `side` pixels within `length`."""
    rest = max(length - side, 0)
    step = max(1, math.floor(side * (1 - overlap)))
    number = math.ceil(rest / step)
    return [0] if not number else [rest * index // number for index in range(number + 1)]


def _fitted(height: int, width: int, side: int) -> tuple[int, int]:
    """(H, W) after scaling the longer side to `side`."""
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _reduced(image: np.ndarray, side: int) -> np.ndarray:
    """The image, scaled so that its longer side is `side`."""
    return np.array(pillow(image, _fitted(image.shape[0], image.shape[1], side)))


def _enlarged(shapes: Shapes, size: tuple[int, int], side: int) -> Shapes:
    """Converts objects found in the downscaled image to pixels of the original of `size` (H, W)."""
    height, width = size
    small = _fitted(height, width, side)
    boxes = np.asarray(shapes.boxes) * np.array([width / small[1], height / small[0]] * 2)
    masks = shapes.masks
    if masks is not None:
        rows = np.stack([*map(np.asarray, masks)]) if len(masks) else np.zeros((0, *small), bool)
        masks = NearestMasks(rows, size)
    return Shapes(boxes.astype(np.float32), shapes.classes, shapes.scores, masks)
