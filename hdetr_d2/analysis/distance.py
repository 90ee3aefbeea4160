"""How much the heads of a model differ in what they look at in an image (Co-DETR,
https://arxiv.org/abs/2211.12860, appendix).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]
"""A distance between two non-negative maps `Tensor[H, W]`: 0-d, 0 if they are equal."""

FLOOR = 1e-4
"""Added to each value of a map, as a fraction of its maximum: one map may be 0 where the other is
not, and the divergence must still be finite.
"""


def kl_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the first map from the second, as distributions over
    positions; in nats.
    """
    p, q = _distribution(first), _distribution(second)
    return (p * (p.log() - q.log())).sum()


def l2_distance(first: Tensor, second: Tensor) -> Tensor:
    """Distance between the maps as vectors of length 1: from 0 to the square root of 2, for
    disjoint maps. A map of zeros has a distance of 1 to all others.
    """
    return (_unit(first) - _unit(second)).norm()


def distances(maps: Sequence[Tensor], distance: Distance) -> Tensor:
    """`Tensor[K, K]`: distance from the map of each head (row) to that of each head (column)."""
    return torch.stack([torch.stack([distance(row, other) for other in maps]) for row in maps])


def mean_distances(matrix: Tensor) -> Tensor:
    """`Tensor[K]`: mean distance between each head and the K - 1 others, in both directions; K is
    at least 2.
    """
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
