"""How far the heads of a model are from each other in what they look at in an image (Co-DETR,
https://arxiv.org/abs/2211.12860, appendix).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]
"""Of two maps `Tensor[H, W]` that are at least 0: 0-d, 0 for equal ones."""

FLOOR = 1e-4
"""What each place of a map is given besides its value, in parts of the highest one: one map may be
0 where the other is not, and their divergence is finite then, too."""


def kl_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the first map, as a distribution over its places, from the
    second; in nats.
    """
    p, q = _distribution(first), _distribution(second)
    return (p * (p.log() - q.log())).sum()


def l2_distance(first: Tensor, second: Tensor) -> Tensor:
    """Of the maps as vectors of length 1: from 0 to the square root of 2, where no place has both.
    A map of zeros is at the distance 1 of others.
    """
    return (_unit(first) - _unit(second)).norm()


def distances(maps: Sequence[Tensor], distance: Distance) -> Tensor:
    """`Tensor[K, K]`: of the map of each head (rows) from that of each (columns)."""
    return torch.stack([torch.stack([distance(row, other) for other in maps]) for row in maps])


def mean_distances(matrix: Tensor) -> Tensor:
    """`Tensor[K]`: how far each head is from the K - 1 others, both ways; K is 2 at least."""
    both = matrix + matrix.T
    return (both.sum(1) - both.diagonal()) / (2 * (len(matrix) - 1))


def _distribution(values: Tensor) -> Tensor:
    values = values.double()
    highest = values.max()
    raised = values + FLOOR * torch.where(highest > 0, highest, 1.0)
    return raised / raised.sum()


def _unit(values: Tensor) -> Tensor:
    values = values.double()
    return values / values.norm().clamp(min=torch.finfo(values.dtype).tiny)
