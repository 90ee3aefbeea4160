"""Masks of the objects of an image, as bitmaps or as polygons."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch
from detectron2._subset import absent
from detectron2.structures.boxes import Boxes
from torch import Tensor

__all__ = ["BitMasks", "PolygonMasks", "polygons_to_bitmask"]

__getattr__ = absent(__name__)

Polygon = np.ndarray  # float64[2n]: x0, y0, x1, y1, ...


def polygons_to_bitmask(polygons: Sequence[Polygon], height: int, width: int) -> np.ndarray:
    """bool[height, width], True inside any of the polygons."""
    if len(polygons) == 0:
        return np.zeros((height, width), dtype=bool)
    pieces = coco_mask.frPyObjects(list(polygons), height, width)
    return coco_mask.decode(coco_mask.merge(pieces)).astype(bool)


class BitMasks:
    """Masks as bitmaps.

    Attributes:
        tensor: bool Tensor[N, H, W].
        image_size: (H, W).
    """

    def __init__(self, tensor: Tensor | np.ndarray) -> None:
        given = tensor if isinstance(tensor, Tensor) else torch.as_tensor(tensor, device="cpu")
        self.tensor = given.to(torch.bool)
        assert self.tensor.dim() == 3, f"masks of shape {tuple(self.tensor.shape)}"
        self.image_size = self.tensor.shape[1:]

    def to(self, *args: Any, **kwargs: Any) -> "BitMasks":
        return BitMasks(self.tensor.to(*args, **kwargs))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def __getitem__(self, item: Any) -> "BitMasks":
        """The masks selected by an int, a slice, or a Tensor of indices or booleans."""
        if isinstance(item, int):
            return BitMasks(self.tensor[item][None])
        return BitMasks(self.tensor[item])

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __repr__(self) -> str:
        return f"BitMasks(num_instances={len(self)})"

    def nonempty(self) -> Tensor:
        """Bool Tensor[N]: whether the mask has a pixel."""
        return self.tensor.flatten(1).any(dim=1)

    @staticmethod
    def from_polygon_masks(
        polygon_masks: "PolygonMasks | list[list[Polygon]]", height: int, width: int
    ) -> "BitMasks":
        """Rasterizes polygons."""
        polygons = (
            polygon_masks.polygons if isinstance(polygon_masks, PolygonMasks) else polygon_masks
        )
        masks = [polygons_to_bitmask(instance, height, width) for instance in polygons]
        return BitMasks(np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool))

    def get_bounding_boxes(self) -> Boxes:
        """The tight boxes, including the whole last pixel; zeros for an empty mask."""
        boxes = torch.zeros(len(self), 4)
        for box, mask in zip(boxes, self.tensor, strict=True):
            y, x = torch.where(mask)
            if len(x):
                box[:] = torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1))
        return Boxes(boxes)

    @staticmethod
    def cat(bitmasks_list: Sequence["BitMasks"]) -> "BitMasks":
        """Concatenates masks."""
        return BitMasks(torch.cat([masks.tensor for masks in bitmasks_list]))


class PolygonMasks:
    """Masks as polygons; they stay on the CPU.

    Attributes:
        polygons: the polygons of every instance, each a float64 array [x0, y0, x1, y1, ...].

    Raises:
        ValueError: not a list of lists, or a polygon with fewer than three points.
    """

    def __init__(self, polygons: list[list[Any]]) -> None:
        if not (isinstance(polygons, list) and all(isinstance(item, list) for item in polygons)):
            raise ValueError("PolygonMasks wants a list of polygons for each instance, in a list")
        self.polygons = [[_as_polygon(polygon) for polygon in item] for item in polygons]

    def to(self, *args: Any, **kwargs: Any) -> "PolygonMasks":
        return self

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def __getitem__(self, item: Any) -> "PolygonMasks":
        """The masks selected by an int, a slice, a list of ints, or a Tensor of indices or
        booleans.
        """
        if isinstance(item, slice):
            return PolygonMasks(self.polygons[item])
        # NumPy can interpret all other kinds of indices.
        return PolygonMasks([self.polygons[i] for i in np.arange(len(self))[item].reshape(-1)])

    def __iter__(self) -> Iterator[list[Polygon]]:
        return iter(self.polygons)

    def __len__(self) -> int:
        return len(self.polygons)

    def __repr__(self) -> str:
        return f"PolygonMasks(num_instances={len(self)})"

    def nonempty(self) -> Tensor:
        """Bool Tensor[N]: whether the instance has a polygon."""
        return torch.tensor([len(instance) > 0 for instance in self.polygons], dtype=torch.bool)

    def area(self) -> Tensor:
        """Tensor[N], in square pixels: the polygons of an instance summed, overlaps counted
        twice.
        """
        return torch.tensor([sum(map(_polygon_area, instance)) for instance in self.polygons])

    def get_bounding_boxes(self) -> Boxes:
        """The tight boxes around the corners; zeros for an instance without polygons."""
        boxes = torch.zeros(len(self), 4)
        for box, instance in zip(boxes, self.polygons, strict=True):
            if instance:
                corners = torch.from_numpy(np.concatenate(instance)).view(-1, 2)
                box[:] = torch.cat((corners.amin(0), corners.amax(0)))
        return Boxes(boxes)

    @staticmethod
    def cat(polymasks_list: Sequence["PolygonMasks"]) -> "PolygonMasks":
        """Concatenates masks."""
        return PolygonMasks(list(chain.from_iterable(polymasks_list)))


def _as_polygon(points: Any) -> Polygon:
    polygon = np.asarray(points.cpu() if isinstance(points, Tensor) else points, dtype="float64")
    if len(polygon) % 2 or len(polygon) < 6:
        raise ValueError(f"a polygon cannot have {len(polygon)} coordinates")
    return polygon


def _polygon_area(polygon: Polygon) -> float:
    x, y = polygon[0::2], polygon[1::2]
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
