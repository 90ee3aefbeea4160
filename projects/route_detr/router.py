"""The router of one decoder layer: an attention bias that separates competing queries and connects
queries that should spread out.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.projects.route_detr.descriptor import Descriptor


class RouterSizes(NamedTuple):
    """The sizes of a router.

    Args:
        dim: channels C of the queries.
        hidden_dim: hidden channels of the network that computes the representation of a query.
        pair_dim: channels of that representation (the paper's d_z).
        rank: of the suppressor and delegator maps (the paper's r).
        gate_rank: channels in which the gate compares two descriptors.
        concatenated: compute the representation from content and position side by side instead of
            their sum.
        scaled: divide the maps by the square root of their rank.
        one_signed: treat negative entries of a map as 0, so that a suppressor never raises and a
            delegator never lowers a score; otherwise only their strengths have a fixed sign.
        limit: maximum magnitude of the bias; None for no limit.
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
    """bias: `Tensor[B, N, N]`, added to the scores at full strength; row i, column j is for query i
    attending to query j. gate: `Tensor[B, N, N]` in [0, 1], the share of the suppressor; the rest
    is the delegator's.
    """

    bias: Tensor
    gate: Tensor


class LowRankMap(nn.Module):
    """A map over all pairs of queries, and its strength."""

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
    """The suppressor's share for each pair: bilinear in both descriptors, and therefore not
    symmetric.
    """

    def __init__(self, sizes: RouterSizes) -> None:
        super().__init__()
        self.rows = nn.Linear(Descriptor.num_features, sizes.gate_rank, bias=False)
        self.columns = nn.Linear(Descriptor.num_features, sizes.gate_rank, bias=False)

    def forward(self, descriptor: Tensor) -> Tensor:
        """`Tensor[B, N, 3]` to `Tensor[B, N, N]` in [0, 1]."""
        return (self.rows(descriptor) @ self.columns(descriptor).transpose(1, 2)).sigmoid()


class Router(nn.Module):
    """Maps queries and their descriptors to a bias of their attention scores."""

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
