"""The route of Mr. DETR (https://arxiv.org/abs/2412.10028) that is told what it is: one-to-many
assignment for queries that find learned tokens, the instruction, in every self-attention.
"""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from hdetr_d2.matching import TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import PROPOSALS, Group, Match, QueryGroup


class InstructedBranch(Scheme):
    """As many queries as the main ones and with their content, at the proposals of heads of their
    own; where there are no proposals, the main queries again. They find tokens among each other,
    have norms of their own behind self-attention, and share everything else.

    Args:
        dim: channels C.
        num_layers: of the decoder.
        num_tokens: of each layer.
        assigner: options of `TopKByScore`.
        weight: of its losses.
        proposal_weight: of those of its proposals, `loss_*_instructed_enc`.
        name: of its group.

    Raises:
        ValueError: fewer than one token.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_layers: int,
        assigner: Mapping[str, float],
        num_tokens: int = 10,
        weight: float = 1.0,
        proposal_weight: float = 1.0,
        name: str = "instructed",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_tokens=num_tokens)
        self.assigner = TopKByScore(**assigner)  # type: ignore[arg-type]
        self.weight = weight
        self.proposal_weight = proposal_weight
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(num_layers))
        self.contents = nn.Parameter(torch.empty(num_layers, num_tokens, dim))
        self.positions = nn.Parameter(torch.empty(num_layers, num_tokens, dim))
        for table in (*self.contents, *self.positions):
            nn.init.xavier_uniform_(table)
        self.heads: nn.Module | None = None

    def connect(self, proposal_heads: nn.Module | None) -> None:
        self.heads = deepcopy(proposal_heads)

    def proposal_heads(self) -> nn.Module | None:
        return self.heads

    def contribute(self, context: Context) -> Contribution:
        group = QueryGroup(
            name=self.name,
            queries=context.slots.get(self.name, context.main.queries),
            assigner=self.assigner,
            weight=self.weight,
            own={"self_norm": self._norm},
            tokens=self._tokens,
        )
        if self.heads is None:
            return Contribution([group])
        proposals = Group(
            name=f"{self.name}_{PROPOSALS}", assigner=Match((1,)), weight=self.proposal_weight
        )
        return Contribution([group], proposals=proposals)

    def _norm(self, layer: int, x: Tensor) -> Tensor:
        return self.norms[layer](x)

    def _tokens(self, layer: int) -> tuple[Tensor, Tensor]:
        return self.contents[layer], self.positions[layer]
