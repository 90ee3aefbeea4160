"""The router of one decoder layer: an attention bias that pushes rivals apart and lets queries
that should spread out look at each other.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.projects.route_detr.descriptor import Descriptor


class RouterSizes(NamedTuple):
    """What a router is made of.

    Args:
        dim: channels C of the queries.
        hidden_dim: channels inside the network that makes the representation of a query.
        pair_dim: channels of that representation (the paper's d_z).
        rank: of the suppressor and delegator maps (the paper's r).
        gate_rank: channels in which the gate compares two descriptors.
        concatenated: the representation is made of content and position side by side; else of
            their sum.
        scaled: the maps are divided by the square root of their rank.
        one_signed: negative entries of a map count as 0, so that a suppressor never raises and a
            delegator never lowers a score; else only their strengths have a sign.
        limit: the most that the bias adds to or takes from a score; None for no limit.
        initial_strength: before the softplus.
    """

    dim: int
    hidden_dim: int = 64
    pair_dim: int = 16
    rank: int = 16
    gate_rank: int = 32
    concatenated: bool = False
    scaled: bool = False
    one_signed: bool = False
    limit: float | None = None
    initial_strength: float = 1.0


class Routing(NamedTuple):
    """bias: `Tensor[B, N, N]`, as added to the scores at full strength; row i, column j is for
    query i that looks at query j. gate: `Tensor[B, N, N]` in [0, 1], the part of the suppressor;
    the delegator has the rest.
    """

    bias: Tensor
    gate: Tensor


class LowRankMap(nn.Module):
    """A map of all pairs of queries, and its strength."""

    def __init__(self, sizes: RouterSizes) -> None:
        super().__init__()
        self.rows = nn.Linear(sizes.pair_dim, sizes.rank, bias=False)
        self.columns = nn.Linear(sizes.pair_dim, sizes.rank, bias=False)
        self.raw_strength = nn.Parameter(torch.tensor(float(sizes.initial_strength)))
        self.scale = sizes.rank**-0.5 if sizes.scaled else 1.0
        self.one_signed = sizes.one_signed

    @property
    def strength(self) -> Tensor:
        """0-d, positive."""
        return F.softplus(self.raw_strength)

    def forward(self, pairs: Tensor) -> Tensor:
        """`Tensor[B, N, D]` to `Tensor[B, N, N]`, without the strength."""
        product = self.scale * self.rows(pairs) @ self.columns(pairs).transpose(1, 2)
        return product.clamp(min=0) if self.one_signed else product


class PairGate(nn.Module):
    """Which part of a pair the suppressor has: bilinear in the two descriptors, and so not the same
    from both sides.
    """

    def __init__(self, sizes: RouterSizes) -> None:
        super().__init__()
        self.rows = nn.Linear(Descriptor.num_features, sizes.gate_rank, bias=False)
        self.columns = nn.Linear(Descriptor.num_features, sizes.gate_rank, bias=False)

    def forward(self, descriptor: Tensor) -> Tensor:
        """`Tensor[B, N, 3]` to `Tensor[B, N, N]` in [0, 1]."""
        return (self.rows(descriptor) @ self.columns(descriptor).transpose(1, 2)).sigmoid()


class Router(nn.Module):
    """Queries and their descriptors to a bias of their attention scores."""

    def __init__(self, sizes: RouterSizes) -> None:
        super().__init__()
        self.concatenated = sizes.concatenated
        self.limit = sizes.limit
        self.represent = nn.Sequential(
            nn.Linear((1 + sizes.concatenated) * sizes.dim, sizes.hidden_dim),
            nn.GELU(),
            nn.Linear(sizes.hidden_dim, sizes.pair_dim),
        )
        self.suppressor = LowRankMap(sizes)
        self.delegator = LowRankMap(sizes)
        self.gate = PairGate(sizes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, content: Tensor, position: Tensor, descriptor: Tensor) -> Routing:
        """`Tensor[B, N, C]` twice, and `Tensor[B, N, 3]`."""
        both = torch.cat([content, position], -1) if self.concatenated else content + position
        pairs, gate = self.represent(both), self.gate(descriptor)
        lowered = self.suppressor.strength * self.suppressor(pairs)
        raised = self.delegator.strength * self.delegator(pairs)
        bias = (1 - gate) * raised - gate * lowered
        return Routing(bias if self.limit is None else bias.clamp(-self.limit, self.limit), gate)
