"""How denoising disturbs the boxes of targets."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hdetr_d2.structures import BACKGROUND, NO_LOSS


class BoxNoise(ABC):
    """Moves boxes at random.

    kinds: queries that a target has in every block: the first shall find it again, the others,
    which lie too far from it, shall find nothing. padding: what queries learn that have no target,
    in an image with fewer than others: `BACKGROUND` or `NO_LOSS`.

    Args:
        scale: of the noise; 0 leaves every box as it is.

    Raises:
        ValueError: a negative scale.
    """

    kinds: int
    padding: int

    def __init__(self, *, scale: float) -> None:
        if scale < 0:
            raise ValueError(f"scale={scale} must be at least 0.")
        self.scale = scale

    @abstractmethod
    def __call__(self, boxes: Tensor) -> Tensor:
        """`Tensor[..., kinds, G, 4]` cxcywh in [0, 1], moved and still in [0, 1]."""


class CentreNoise(BoxNoise):
    """Of DN-DETR (https://arxiv.org/abs/2203.01305): with scale 1 the centre stays inside the box,
    and the size is at most doubled.
    """

    kinds = 1
    padding = NO_LOSS

    def __call__(self, boxes: Tensor) -> Tensor:
        size = boxes[..., 2:]
        reach = self.scale * torch.cat([size / 2, size], -1)
        return (boxes + reach * (2 * torch.rand_like(boxes) - 1)).clamp(0, 1)


class ContrastiveNoise(BoxNoise):
    """Of DINO (https://arxiv.org/abs/2203.03605): with scale 1 the edges of a positive move by up
    to half the side of the box, those of a negative by half a side to a whole one.
    """

    kinds = 2
    padding = BACKGROUND

    def __call__(self, boxes: Tensor) -> Tensor:
        centre, size = boxes.split(2, -1)
        half = self.scale * size / 2
        sign = 2 * torch.randint_like(boxes, 2) - 1
        nearest = torch.arange(self.kinds, device=boxes.device)[:, None, None]
        steps = sign * (torch.rand_like(boxes) + nearest)
        corners = torch.cat([centre - size / 2, centre + size / 2], -1)
        low, high = (corners + steps * torch.cat([half, half], -1)).clamp(0, 1).split(2, -1)
        # Edges that have passed each other leave no box between them.
        return torch.cat([(low + high) / 2, (high - low).clamp(min=0)], -1)
