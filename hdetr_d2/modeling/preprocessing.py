"""From a batch of images to one padded tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.utils.device import to_device


@dataclass
class ImageBatch:
    """tensor: `Tensor[B, 3, H, W]`, normalised, zeros where padded. padding: `Tensor[B, H, W]`
    bool. sizes: (H, W) of the images as they came. frames: (H, W) that boxes in [0, 1] are relative
    to, the sizes or more.
    """

    tensor: Tensor
    padding: Tensor
    sizes: list[tuple[int, int]]
    frames: list[tuple[int, int]]


class Preprocessing(nn.Module):
    """Pads images at the bottom and right and normalises them on the device.

    Args:
        pixel_mean: of the three channels (RGB), on the scale of the images (0 to 255).
        pixel_std: likewise.
        size_divisibility: the padded height and width are multiples of it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, pixel_mean: Sequence[float], pixel_std: Sequence[float], size_divisibility: int = 1
    ) -> None:
        super().__init__()
        self.size_divisibility = max(1, size_divisibility)
        self.register_buffer(
            "mean", torch.tensor(tuple(pixel_mean)).view(-1, 1, 1), persistent=False
        )
        self.register_buffer("std", torch.tensor(tuple(pixel_std)).view(-1, 1, 1), persistent=False)

    def forward(self, images: Sequence[Tensor]) -> ImageBatch:
        """Takes `Tensor[3, H_i, W_i]` each, uint8 or float, RGB on the scale of the mean."""
        sizes = _sizes(images)
        height, width = (self._round_up(max(side)) for side in zip(*sizes, strict=True))
        batch = self._stack(images, (height, width), fill=0)
        limits = to_device(sizes, torch.arange(1, device=batch.device))
        rows = torch.arange(height, device=batch.device) >= limits[:, :1]
        columns = torch.arange(width, device=batch.device) >= limits[:, 1:]
        padding = rows[:, :, None] | columns[:, None, :]
        tensor = self._normalise(batch).masked_fill(padding[:, None], 0.0)
        return ImageBatch(tensor, padding, sizes, frames=sizes)

    def _stack(self, images: Sequence[Tensor], size: tuple[int, int], fill: int) -> Tensor:
        """The images at the top left of `Tensor[B, 3, H, W]`, in their own dtype."""
        # Padded on the device: pinned images travel without a wait, and in their small dtype.
        shape = (len(images), images[0].shape[0], *size)
        batch = images[0].new_full(shape, fill, device=self.mean.device)
        for row, image in zip(batch, images, strict=True):
            row[:, : image.shape[-2], : image.shape[-1]].copy_(image, non_blocking=True)
        return batch

    def _normalise(self, batch: Tensor) -> Tensor:
        return (batch - self.mean) / self.std

    def _round_up(self, side: int) -> int:
        return -(-side // self.size_divisibility) * self.size_divisibility


class GreySquare(Preprocessing):
    """Puts images at the top left of a grey square that counts as part of them, as after
    large-scale jitter: nothing is padding, and boxes are relative to the square.

    Args:
        pixel_mean, pixel_std: as in `Preprocessing`.
        side: of the square, in pixels.
        grey: of the square, on the scale of the images.
    """

    def __init__(
        self,
        *,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        side: int,
        grey: int = 114,
    ) -> None:
        super().__init__(pixel_mean=pixel_mean, pixel_std=pixel_std)
        self.side = side
        self.grey = grey

    def forward(self, images: Sequence[Tensor]) -> ImageBatch:
        """Raises UserError for an image that is larger than the square."""
        largest = max(max(image.shape[-2:]) for image in images)
        if largest > self.side:
            raise UserError(
                f"an image with a side of {largest} pixels does not fit into the square of "
                f"model.preprocessing.side={self.side}: let the mapper resize it"
            )
        square = (self.side, self.side)
        tensor = self._normalise(self._stack(images, square, fill=self.grey))
        padding = torch.zeros(len(images), *square, dtype=torch.bool, device=tensor.device)
        return ImageBatch(tensor, padding, _sizes(images), frames=[square] * len(images))


def _sizes(images: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(image.shape[-2], image.shape[-1]) for image in images]
