"""Masks of an image, upscaled to its size on demand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from hdetr_d2.pixels.run_lengths import run_lengths


class ScaledMasks:
    """Masks of N objects in pixels of the original image, by nearest-neighbour interpolation of the
    model's resolution. Used as `pred_masks` of Detectron2's Instances, in place of a
    `Tensor[N, H, W]`, which takes a gigabyte for a large photograph with a hundred detections.

    `masks[i]`, and each item of an iteration, is a mask `Tensor[H, W]` bool; a slice, indices or a
    `Tensor[N]` bool select several. `masks.rles()` returns COCO's run lengths. All of these hold at
    most one full mask in memory; any other tensor operation materialises all.

    Attributes:
        small: `Tensor[N, h, w]` bool, in pixels of the model's input.
        size: (H, W) of the original image.
    """

    def __init__(self, small: Tensor, size: tuple[int, int]) -> None:
        self.small = small
        self.size = (int(size[0]), int(size[1]))

    def __len__(self) -> int:
        return len(self.small)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, tuple):
            return self.tensor[item]
        if isinstance(item, int):
            return self._scale(self.small[item])
        return ScaledMasks(self.small[item], self.size)

    def __iter__(self) -> Iterator[Tensor]:
        return map(self._scale, self.small)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.tensor.cpu(), dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "small":  # asked by copy before any attribute exists
            raise AttributeError(name)
        return getattr(self.tensor, name)

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Any, args: Sequence = (), kwargs: Mapping | None = None
    ) -> Any:
        whole = tree_map_only(cls, attrgetter("tensor"), [args, kwargs or {}])
        return function(*whole[0], **whole[1])

    @property
    def shape(self) -> torch.Size:
        """[N, H, W]."""
        return torch.Size([len(self), *self.size])

    @property
    def device(self) -> torch.device:
        return self.small.device

    @property
    def tensor(self) -> Tensor:
        """`Tensor[N, H, W]` bool."""
        return self._scale(self.small)

    def to(self, *args: Any, **kwargs: Any) -> "ScaledMasks":
        """Moves to another device, like a tensor's `to`."""
        return ScaledMasks(self.small.to(*args, **kwargs), self.size)

    def cpu(self) -> "ScaledMasks":
        return self.to("cpu")

    @staticmethod
    def cat(parts: Sequence["ScaledMasks"]) -> "ScaledMasks":
        """Concatenates masks of one image, as Detectron2's `Instances.cat` expects."""
        return ScaledMasks(torch.cat([part.small for part in parts]), parts[0].size)

    def rles(self) -> list[dict]:
        """{"size": [H, W], "counts": text} of each mask, equal to pycocotools' encoding."""
        rows, columns = (self._nearest(axis).cpu().numpy() for axis in (0, 1))
        return [run_lengths(small, rows, columns) for small in self.small.cpu().numpy()]

    def _scale(self, small: Tensor) -> Tensor:
        rows, columns = self._nearest(0), self._nearest(1)
        # Columns first: for the larger result, whole rows are then copied.
        return small.index_select(-1, columns).index_select(-2, rows)

    def _nearest(self, axis: int) -> Tensor:
        """For each row or column of the original image, the corresponding one of the input:
        int64.
        """
        given = torch.arange(self.small.shape[1 + axis], device=self.device)
        return F.interpolate(given[None, None].float(), self.size[axis])[0, 0].long()
