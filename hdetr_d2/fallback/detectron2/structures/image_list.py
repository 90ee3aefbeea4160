"""Images of several sizes in one padded tensor."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2._subset import absent
from torch import Tensor

__all__ = ["ImageList"]

__getattr__ = absent(__name__)


class ImageList:
    """A padded batch and the sizes within it.

    Attributes:
        tensor: Tensor[N, ..., H, W].
        image_sizes: (height, width) of every image before padding.
    """

    def __init__(self, tensor: Tensor, image_sizes: list[tuple[int, int]]) -> None:
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, index: int) -> Tensor:
        """One image without its padding."""
        height, width = self.image_sizes[index]
        return self.tensor[index, ..., :height, :width]

    def to(self, *args: Any, **kwargs: Any) -> "ImageList":
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: Sequence[Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: Mapping[str, int] | None = None,
    ) -> "ImageList":
        """Pad Tensors[..., Hi, Wi] at the right and at the bottom to one size.

        Args:
            size_divisibility: the padded sides are multiples of it, if it is positive.
            padding_constraints: may have "size_divisibility", which goes before the argument, and
                "square_size": pad to a square of this side.
        """
        assert len({tuple(t.shape[:-2]) for t in tensors}) == 1, "images of different channels"
        constraints = {"size_divisibility": size_divisibility, **(padding_constraints or {})}
        sizes = [(t.shape[-2], t.shape[-1]) for t in tensors]
        square, multiple = (
            constraints.get("square_size", 0),
            max(constraints["size_divisibility"], 1),
        )
        padded = [square if square > 0 else max(sides) for sides in zip(*sizes, strict=True)]
        padded = [-(-side // multiple) * multiple for side in padded]
        batch = tensors[0].new_full((len(tensors), *tensors[0].shape[:-2], *padded), pad_value)
        for image, tensor, (height, width) in zip(batch, tensors, sizes, strict=True):
            image[..., :height, :width] = tensor
        return ImageList(batch, sizes)
