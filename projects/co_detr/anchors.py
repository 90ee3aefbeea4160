"""Anchor boxes at the cells of a pyramid."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.boxes import box_centres
from hdetr_d2.projects.co_detr.pyramid import Cells
from hdetr_d2.utils.device import to_device


@dataclass
class Anchors:
    """The N anchors of a pyramid, in the order of the cells; those of one cell are adjacent.

    boxes: `Tensor[N, 4]` xyxy in pixels. strides: `Tensor[N]`, of their cells. valid:
    `Tensor[B, N]` bool, of their cells. lengths: anchors per level, on the host.
    """

    boxes: Tensor
    strides: Tensor
    valid: Tensor
    lengths: tuple[int, ...]

    @property
    def centres(self) -> Tensor:
        """(x, y) in pixels, `Tensor[N, 2]`."""
        return box_centres(self.boxes)


class AnchorShapes:
    """The shapes of anchors: all scales of the first ratio, then those of the next.

    Args:
        scales: side of a square anchor, in strides.
        ratios: height over width; the area is that of the square.
        offset: position of an anchor's centre in its cell, in strides. The published anchor-based
            heads put it on the corner.
    """

    def __init__(
        self, *, scales: Sequence[float], ratios: Sequence[float] = (1.0,), offset: float = 0.0
    ) -> None:
        self.sides = [(s / r**0.5, s * r**0.5) for r in ratios for s in scales]
        self.offset = offset

    def __len__(self) -> int:
        """Anchors per cell."""
        return len(self.sides)

    def at(self, cells: Cells) -> Anchors:
        """The anchors of all cells."""
        strides = cells.strides[:, None, None]
        centres = cells.places[:, None] + self.offset * strides  # [A, 1, 2]
        half = to_device(self.sides, cells.places) * strides / 2  # [A, len, 2]
        return Anchors(
            boxes=torch.cat([centres - half, centres + half], -1).flatten(0, 1),
            strides=self._each(cells.strides[None])[0],
            valid=self._each(cells.valid),
            lengths=tuple(length * len(self) for length in cells.lengths),
        )

    def _each(self, of_cells: Tensor) -> Tensor:
        """`Tensor[B, A]` to `Tensor[B, N]`."""
        return of_cells[..., None].expand(-1, -1, len(self)).flatten(1)


def square_anchors(offset: float = 0.0) -> AnchorShapes:
    """One square of eight strides (ATSS, GFL, PAA)."""
    return AnchorShapes(scales=(8.0,), offset=offset)


def nine_anchors() -> AnchorShapes:
    """Three sizes per octave in three ratios (RetinaNet, and Co-DETR's proposals)."""
    scales = [4 * 2 ** (step / 3) for step in range(3)]
    return AnchorShapes(scales=scales, ratios=(0.5, 1.0, 2.0))
