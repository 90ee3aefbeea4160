"""How denoising perturbs the target boxes."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hdetr_d2.structures import BACKGROUND, NO_LOSS


class BoxNoise(ABC):
    """Moves boxes at random.

    kinds: queries per target in every block. The first must recover its target; the others lie too
    far from it and must predict background. padding: what padding queries learn, in images with
    fewer targets than others: `BACKGROUND` or `NO_LOSS`.

    Args:
        scale: of the noise; 0 leaves every box unchanged.

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
        """`Tensor[..., kinds, G, 4]` cxcywh, perturbed and clipped to [0, 1]."""


class CentreNoise(BoxNoise):
    """The noise of DN-DETR (https://arxiv.org/abs/2203.01305): with scale 1 the centre stays inside
    the box, and the size at most doubles.
    """

    kinds = 1
    padding = NO_LOSS

    def __call__(self, boxes: Tensor) -> Tensor:
        size = boxes[..., 2:]
        reach = self.scale * torch.cat([size / 2, size], -1)
        return (boxes + reach * (2 * torch.rand_like(boxes) - 1)).clamp(0, 1)


class ContrastiveNoise(BoxNoise):
    """The noise of DINO (https://arxiv.org/abs/2203.03605): with scale 1 each edge of a positive
    moves by up to half the side of the box, each edge of a negative by half to one whole side.
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
        # Edges that have crossed leave an empty box.
        return torch.cat([(low + high) / 2, (high - low).clamp(min=0)], -1)
