"""Pyramids and targets to try heads on."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from hdetr_d2.projects.co_detr import PixelTargets, Pyramid

STRIDES = (8, 16, 32, 64, 128)


def pixel_targets(*images: list[list[float]]) -> PixelTargets:
    """Boxes xyxy of each image, with labels that count from 0."""
    rows = [torch.tensor(boxes).view(-1, 4) for boxes in images]
    boxes = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    if not boxes.shape[1]:
        boxes = boxes.new_zeros(len(rows), 1, 4)
    valid = torch.arange(boxes.shape[1]) < torch.tensor([[len(row)] for row in rows])
    labels = torch.arange(boxes.shape[1]).expand(valid.shape)
    return PixelTargets(labels, boxes, valid)


def blank_pyramid(
    sizes: Sequence[tuple[int, int]], strides: Sequence[int] = STRIDES, dim: int = 1
) -> Pyramid:
    """Maps of zeros for images of `sizes` (h, w)."""
    height, width = (max(side) for side in zip(*sizes, strict=True))
    maps = [torch.zeros(len(sizes), dim, -(-height // s), -(-width // s)) for s in strides]
    return Pyramid(maps, strides, sizes)


def random_pyramid(
    sizes: Sequence[tuple[int, int]], strides: Sequence[int] = STRIDES, dim: int = 64
) -> Pyramid:
    """Maps that have gradients."""
    pyramid = blank_pyramid(sizes, strides, dim)
    maps = [torch.randn_like(map_).requires_grad_() for map_ in pyramid.maps]
    return replace(pyramid, maps=maps)


def random_targets(images: int, most: int, sides: tuple[int, int]) -> PixelTargets:
    """Up to `most` boxes with labels 0 to 2 in each image, inside of `sides` (h, w)."""
    counts = torch.randint(0, most + 1, (images,))
    centres = torch.rand(images, most, 2)
    half = 0.02 + torch.rand(images, most, 2) * 0.3
    scale = torch.tensor([sides[1], sides[0]] * 2)
    boxes = torch.cat([centres - half, centres + half], -1).clamp(0, 1) * scale
    valid = torch.arange(most) < counts[:, None]
    return PixelTargets(torch.randint(0, 3, (images, most)), boxes * valid[..., None], valid)
