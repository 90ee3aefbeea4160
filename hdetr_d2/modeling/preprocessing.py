"""From a batch of images to one padded tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.modeling import Backbone
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.utils.device import lay, to_device


@dataclass
class ImageBatch:
    """tensor: `Tensor[B, C, H, W]`, normalised, zero in the padding. padding: `Tensor[B, H, W]`
    bool. sizes: (H, W) of the original inputs. frames: (H, W) to which boxes are normalised, at
    least the sizes.
    """

    tensor: Tensor
    padding: Tensor
    sizes: Sequence[tuple[int, int]]
    frames: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class StackedImages:
    """Images of one batch on the model's device, not normalised yet.

    tensor: `Tensor[B, C, H, W]` in the images' dtype and scale, each at the top left. limits:
    `Tensor[B, 2]` int64, their (H, W). sizes, frames: as in `ImageBatch`.
    """

    tensor: Tensor
    limits: Tensor
    sizes: Sequence[tuple[int, int]]
    frames: Sequence[tuple[int, int]]


class Preprocessing(nn.Module):
    """Pads images on the bottom and right and normalises them on the device.

    Args:
        pixel_mean: per channel (RGB, unless `data.channels` is set), on the scale of the images (0
            to 255).
        pixel_std: likewise.
        size_divisibility: padded height and width are multiples of this number of pixels, and of
            what the backbone requires.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, pixel_mean: Sequence[float], pixel_std: Sequence[float], size_divisibility: int = 1
    ) -> None:
        super().__init__()
        self.multiple = max(1, size_divisibility)
        self.square = 0
        self.register_buffer(
            "mean", torch.tensor(tuple(pixel_mean)).view(-1, 1, 1), persistent=False
        )
        self.register_buffer("std", torch.tensor(tuple(pixel_std)).view(-1, 1, 1), persistent=False)

    def keep_to(self, backbone: Backbone) -> None:
        """Pads as the backbone requires from now on, so that everything derived from a batch takes
        that padding into account.
        """
        multiple, self.square = padding_needs(backbone)
        self.multiple = math.lcm(self.multiple, multiple)

    def forward(self, images: Sequence[Tensor]) -> ImageBatch:
        """Takes images `Tensor[C, H_i, W_i]`, uint8 or float, on the scale of the mean.

        Raises:
            UserError: see `stack`.
        """
        return self.prepare_batch(self.stack(images))

    def stack(self, images: Sequence[Tensor]) -> StackedImages:
        """Moves the images to the device.

        Raises:
            UserError: an image is larger than the square that the backbone takes, or has another
                number of channels than the mean.
        """
        _check_channels(images, len(self.mean))
        sizes = _sizes(images)
        stacked = self._stack(images, self.padded_size(sizes))
        limits = to_device(sizes, torch.arange(1, device=stacked.device))
        return StackedImages(stacked, limits, sizes, self.frames(sizes))

    def prepare_batch(self, images: StackedImages) -> ImageBatch:
        """The backbone's input, computed entirely on the device."""
        tensor, padding = self.prepare(images.tensor, images.limits)
        return ImageBatch(tensor, padding, images.sizes, images.frames)

    def padded_size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The padded (H, W) of a batch of images with these (H, W).

        Raises:
            UserError: an image is larger than the square that the backbone takes.
        """
        if self.square:
            _check_inside(
                sizes,
                self.square,
                "the backbone takes (a timm model: model.backbone.options.img_size)",
            )
        sides = (self.square or max(side) for side in zip(*sizes, strict=True))
        height, width = (-(-side // self.multiple) * self.multiple for side in sides)
        return height, width

    def frames(self, sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """(H, W) to which the boxes of images with these (H, W) are normalised."""
        return list(sizes)

    def frames_of(self, sizes: Tensor) -> Tensor:
        """The same for `Tensor[B, 2]`."""
        return sizes

    def prepare(self, stacked: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Normalises images at the top left of one tensor for the backbone.

        Args:
            stacked: `Tensor[B, C, H, W]` on the scale of the mean.
            sizes: `Tensor[B, 2]` int64, (H, W) of the images; pixels outside are ignored.

        Returns:
            `Tensor[B, C, H, W]`, normalised, zero in the padding; and the padding mask,
            `Tensor[B, H, W]` bool.
        """
        padding = _outside(stacked, sizes)
        return self._normalise(stacked).masked_fill(padding[:, None], 0.0), padding

    def _stack(self, images: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The images at the top left of `Tensor[B, C, H, W]`, in their own dtype."""
        # Padded on the device: pinned images are copied without waiting, and in their small dtype.
        shape = (len(images), images[0].shape[0], *size)
        batch = images[0].new_zeros(shape, device=self.mean.device)
        for row, image in zip(batch, images, strict=True):
            lay(image, row[:, : image.shape[-2], : image.shape[-1]])
        return batch

    def _normalise(self, batch: Tensor) -> Tensor:
        return (batch - self.mean) / self.std


class GreySquare(Preprocessing):
    """Puts images at the top left of a grey square that counts as part of them, as after
    large-scale jitter: there is no padding, and boxes are normalised to the square.

    Args:
        pixel_mean, pixel_std: as in `Preprocessing`.
        side: of the square, in pixels.
        grey: its value, on the scale of the images.
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

    def keep_to(self, backbone: Backbone) -> None:
        """Raises UserError if the backbone does not accept the square."""
        multiple, square = padding_needs(backbone)
        if self.side % multiple or square not in (0, self.side):
            wanted = str(square) if square else f"a multiple of {multiple}"
            raise UserError(
                f"model.preprocessing.side={self.side} must be {wanted} for this backbone."
            )

    def padded_size(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Raises UserError for an image that is larger than the square."""
        _check_inside(sizes, self.side, f"model.preprocessing.side={self.side} sets")
        return self.side, self.side

    def frames(self, sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(self.side, self.side)] * len(sizes)

    def frames_of(self, sizes: Tensor) -> Tensor:
        return torch.full_like(sizes, self.side)

    def prepare(self, stacked: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        outside = _outside(stacked, sizes)
        tensor = self._normalise(stacked.masked_fill(outside[:, None], self.grey))
        return tensor, torch.zeros_like(outside)


def _outside(stacked: Tensor, sizes: Tensor) -> Tensor:
    """The region outside of the images, `Tensor[B, H, W]` bool; arguments as in
    `Preprocessing.prepare`.
    """
    rows = torch.arange(stacked.shape[-2], device=stacked.device) >= sizes[:, :1]
    columns = torch.arange(stacked.shape[-1], device=stacked.device) >= sizes[:, 1:]
    return rows[:, :, None] | columns[:, None, :]


def _check_channels(images: Sequence[Tensor], number: int) -> None:
    for image in images:
        if image.shape[0] != number:
            raise UserError(
                f"an image has {image.shape[0]} channels, but pixel_mean of the model {number} "
                "numbers: the model follows data.channels where its pixels are normalised by "
                "model.preprocessing"
            )


def _sizes(images: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(image.shape[-2], image.shape[-1]) for image in images]


def padding_needs(backbone: Backbone) -> tuple[int, int]:
    """What a batch's sides must be multiples of, and the side of the square that it must be, 0 for
    no requirement; both in pixels.
    """
    # Detectron2's Swin has the property, but it raises; its ViTDet misspells the key.
    constraints = {"size_divisibility": getattr(backbone, "size_divisibility", 0)}
    constraints |= {
        key.replace("divisiblity", "divisibility"): value
        for key, value in backbone.padding_constraints.items()
    }
    return max(1, constraints["size_divisibility"]), max(0, constraints.get("square_size", 0))


def _check_inside(sizes: Sequence[tuple[int, int]], side: int, origin: str) -> None:
    largest = max(max(size) for size in sizes)
    if largest > side:
        raise UserError(
            f"an image with a side of {largest} pixels does not fit into the square of {side} "
            f"that {origin}: let the mapper resize it"
        )
