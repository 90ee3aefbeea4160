"""Boxes as corners in absolute pixels, and the formats used by annotation files."""

from collections.abc import Iterator, Sequence
from enum import IntEnum, unique
from typing import Any, TypeVar

import numpy as np
import torch
from detectron2._subset import absent
from torch import Tensor

__all__ = ["BoxMode", "Boxes"]

__getattr__ = absent(__name__)

AnyBox = TypeVar("AnyBox", list[float], tuple[float, ...], Tensor, np.ndarray)


@unique
class BoxMode(IntEnum):
    """The meaning of the four (or five) numbers of a box."""

    XYXY_ABS = 0
    XYWH_ABS = 1
    XYXY_REL = 2
    XYWH_REL = 3
    XYWHA_ABS = 4

    @staticmethod
    def convert(box: AnyBox, from_mode: "BoxMode", to_mode: "BoxMode") -> AnyBox:
        """Converts a box, or the rows of an [N, 4] array or tensor, to another mode, keeping the
        type.

        Raises:
            NotImplementedError: for any pair but XYXY_ABS and XYWH_ABS.
        """
        if from_mode == to_mode:
            return box
        if {from_mode, to_mode} != {BoxMode.XYXY_ABS, BoxMode.XYWH_ABS}:
            raise NotImplementedError(f"cannot convert {from_mode!r} to {to_mode!r}")
        sign = 1 if to_mode == BoxMode.XYXY_ABS else -1
        if isinstance(box, list | tuple):
            assert len(box) == 4, f"a box has four numbers, not {box}"
            x, y, right, bottom = box
            corners = [x, y, right + sign * x, bottom + sign * y]
            return corners if isinstance(box, list) else tuple(corners)
        converted = box.clone() if isinstance(box, Tensor) else box.copy()
        converted[..., 2:] += sign * converted[..., :2]
        return converted


class Boxes:
    """The boxes of an image.

    Attributes:
        tensor: float32 Tensor[N, 4], (x0, y0, x1, y1) in absolute pixels.
    """

    def __init__(self, tensor: Tensor | np.ndarray | Sequence[Sequence[float]]) -> None:
        given = tensor if isinstance(tensor, Tensor) else torch.as_tensor(tensor, device="cpu")
        boxes = given.to(torch.float32)
        if boxes.numel() == 0:
            boxes = boxes.reshape(-1, 4)
        assert boxes.shape[1:] == (4,), f"boxes of shape {tuple(boxes.shape)}"
        self.tensor = boxes

    def clone(self) -> "Boxes":
        return Boxes(self.tensor.clone())

    def to(self, device: torch.device | str) -> "Boxes":
        return Boxes(self.tensor.to(device=device))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def area(self) -> Tensor:
        """Tensor[N], in square pixels."""
        width, height = (self.tensor[:, 2:] - self.tensor[:, :2]).unbind(1)
        return width * height

    def clip(self, box_size: tuple[int, int]) -> None:
        """Clips the boxes, in place, to an image of (height, width)."""
        assert torch.isfinite(self.tensor).all(), "a box is infinite or NaN"
        height, width = box_size
        x, y = self.tensor[:, 0::2].clamp(0, width), self.tensor[:, 1::2].clamp(0, height)
        self.tensor = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)

    def nonempty(self, threshold: float = 0.0) -> Tensor:
        """Bool Tensor[N]: whether both sides are longer than `threshold`."""
        return ((self.tensor[:, 2:] - self.tensor[:, :2]) > threshold).all(dim=1)

    def inside_box(self, box_size: tuple[int, int], boundary_threshold: int = 0) -> Tensor:
        """Bool Tensor[N]: whether the box exceeds (height, width) by no more than the threshold."""
        low, high = self.tensor[:, :2], self.tensor[:, 2:]
        limit = high.new_tensor([box_size[1], box_size[0]]) + boundary_threshold
        return (low >= -boundary_threshold).all(dim=1) & (high < limit).all(dim=1)

    def get_centers(self) -> Tensor:
        """Tensor[N, 2], (x, y)."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiplies the coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: Sequence["Boxes"]) -> "Boxes":
        """Concatenates boxes."""
        if not boxes_list:
            return cls(torch.empty(0, 4))
        return cls(torch.cat([boxes.tensor for boxes in boxes_list]))

    def __getitem__(self, item: Any) -> "Boxes":
        """The boxes selected by an int, a slice, or a Tensor of indices or booleans."""
        if isinstance(item, int):
            return Boxes(self.tensor[item][None])
        chosen = self.tensor[item]
        assert chosen.dim() == 2, f"boxes[{item}] is no list of boxes"
        return Boxes(chosen)

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor)

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"
