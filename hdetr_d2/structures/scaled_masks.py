"""Masks of one image that are brought to its size when they are asked for."""

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
    """Masks of N objects in pixels of the original image, each pixel that of the nearest one of
    what the model was fed. For the `pred_masks` of Detectron2's Instances, in the place of a
    `Tensor[N, H, W]`, which of a large photo and a hundred detections is a gigabyte.

    `masks[i]` is a mask, `Tensor[H, W]` bool, and so is each when one iterates over them; a slice,
    indices or a `Tensor[N]` bool choose some. `masks.rles()` are COCO's run lengths. These need the
    memory of one mask at most; whatever else a tensor does, that of all of them does.

    Attributes:
        small: `Tensor[N, h, w]` bool, in pixels of the fed image.
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
        if name.startswith("_") or name == "small":  # as copies ask, before anything is there
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
        """On another device, as a tensor's `to`."""
        return ScaledMasks(self.small.to(*args, **kwargs), self.size)

    def cpu(self) -> "ScaledMasks":
        return self.to("cpu")

    @staticmethod
    def cat(parts: Sequence["ScaledMasks"]) -> "ScaledMasks":
        """Those of one image, one after the other, as Detectron2's `Instances.cat` asks for."""
        return ScaledMasks(torch.cat([part.small for part in parts]), parts[0].size)

    def rles(self) -> list[dict]:
        """{"size": [H, W], "counts": text} of each, what pycocotools makes of the mask."""
        rows, columns = (self._nearest(axis).cpu().numpy() for axis in (0, 1))
        return [run_lengths(small, rows, columns) for small in self.small.cpu().numpy()]

    def _scale(self, small: Tensor) -> Tensor:
        rows, columns = self._nearest(0), self._nearest(1)
        # Columns first: of the larger picture whole rows are copied.
        return small.index_select(-1, columns).index_select(-2, rows)

    def _nearest(self, axis: int) -> Tensor:
        """Of each row or column of the original image, the one of the fed image: int64."""
        given = torch.arange(self.small.shape[1 + axis], device=self.device)
        return F.interpolate(given[None, None].float(), self.size[axis])[0, 0].long()
