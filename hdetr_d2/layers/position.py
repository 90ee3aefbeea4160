"""Position encodings: learned, and sinusoidal (Attention Is All You Need,
https://arxiv.org/abs/1706.03762, in the form of DETR).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.errors import UserError
from hdetr_d2.layers.mlp import MLP


def sine_embedding(coordinates: Tensor, num_feats: int, temperature: float = 10000.0) -> Tensor:
    """Sines and cosines of each coordinate; sine and cosine of a frequency are adjacent.

    Args:
        coordinates: `Tensor[..., N]` in radians.
        num_feats: features per coordinate; even.
        temperature: ratio of the longest to the shortest wavelength.

    Returns:
        `Tensor[..., N * num_feats]` float32, one coordinate after the other.
    """
    exponent = (
        torch.arange(0, num_feats, 2, dtype=torch.float32, device=coordinates.device) / num_feats
    )
    angle = coordinates.float()[..., None] / temperature**exponent  # [..., N, num_feats / 2]
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-3)


class SinePositionEncoding(nn.Module):
    """Encodes the positions of feature map cells, y first, relative to the unpadded part of the
    image.

    Args:
        dim: channels of the encoding, half of them for each axis; a multiple of 4.
        temperature: see `sine_embedding`.
        offset: added to the 1-based cell index: -0.5 is the cell's centre (Deformable-DETR), 0 is
            DETR's choice.
    """

    def __init__(self, *, dim: int, temperature: float = 10000.0, offset: float = -0.5) -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f"A sine position encoding needs a multiple of 4 channels, not {dim}.")
        self.dim = dim
        self.temperature = temperature
        self.offset = offset

    def forward(self, paddings: Sequence[Tensor]) -> Tensor:
        """`Tensor[B, H_l, W_l]` bool per level, True where padded, to `Tensor[B, S, dim]`, all
        levels concatenated.
        """
        placed, extents = [], []
        for padding in paddings:
            inside = ~padding
            y, x = (inside.cumsum(axis, dtype=torch.float32) for axis in (1, 2))
            placed.append(torch.stack([y, x], -1).flatten(1, 2))
            ends = y[:, -1:].expand_as(y), x[:, :, -1:].expand_as(x)
            extents.append(torch.stack(ends, -1).flatten(1, 2))
        place, extent = torch.cat(placed, 1), torch.cat(extents, 1)
        angle = 2 * math.pi * ((place + self.offset) / (extent + 1e-6))
        return sine_embedding(angle, self.dim // 2, self.temperature)


class LearnedPositionEncoding(nn.Module):
    """A learned embedding for every column of a feature map (one half of the channels) and every
    row (the other half), as in DETR.

    Args:
        dim: channels of the encoding, even.
        num_cells: maximum number of rows and columns of a map.
    """

    def __init__(self, *, dim: int, num_cells: int = 50) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"A learned position encoding needs an even dim, not {dim}.")
        self.num_cells = num_cells
        self.columns = nn.Parameter(torch.rand(num_cells, dim // 2))
        self.rows = nn.Parameter(torch.rand(num_cells, dim // 2))

    def forward(self, paddings: Sequence[Tensor]) -> Tensor:
        """`Tensor[B, H_l, W_l]` bool per level to `Tensor[B, S, dim]`; padding makes no difference.

        Raises:
            UserError: a map has more rows or columns than embeddings.
        """
        return torch.cat([self._of_level(*padding.shape) for padding in paddings], 1)

    def _of_level(self, images: int, height: int, width: int) -> Tensor:
        if max(height, width) > self.num_cells:
            raise UserError(
                f"a feature map of {height} x {width} cells has more than the {self.num_cells} "
                "rows or columns with a learned position: set encoder.position.num_cells, or "
                "smaller images"
            )
        columns = self.columns[:width].expand(height, -1, -1)
        rows = self.rows[:height, None].expand(-1, width, -1)
        return torch.cat([columns, rows], -1).flatten(0, 1).expand(images, -1, -1)


class ReferencePosition(nn.Module):
    """Computes the positional query from the reference box in every layer (DAB-DETR,
    https://arxiv.org/abs/2201.12329, as in DINO).

    Args:
        dim: channels C, a multiple of 4.
        temperature: see `sine_embedding`.
    """

    def __init__(self, *, dim: int, temperature: float = 10000.0) -> None:
        super().__init__()
        self.dim = dim
        self.temperature = temperature
        self.mlp = MLP(2 * dim, dim, dim, 2)
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)

    def forward(self, reference: Tensor) -> Tensor:
        """`Tensor[B, Q, 4]` cxcywh in [0, 1] to `Tensor[B, Q, C]`; y comes before x."""
        x, y, w, h = (2 * math.pi * reference).unbind(-1)
        ordered = torch.stack([y, x, w, h], -1)
        return self.mlp(sine_embedding(ordered, self.dim // 2, self.temperature))
