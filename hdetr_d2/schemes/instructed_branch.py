"""The instructed route of Mr. DETR (https://arxiv.org/abs/2412.10028): one-to-many assignment for
queries that see learned instruction tokens in every self-attention.
"""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from hdetr_d2.matching import TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import PROPOSALS, Group, Match, QueryGroup


class InstructedBranch(Scheme):
    """A copy of the main queries' content, placed at the proposals of separate heads (or at the
    main queries' own references if there are no proposals). The group attends to the tokens along
    with its own queries, has separate norms after self-attention, and shares everything else with
    the main group.

    Args:
        dim: channels C.
        num_layers: of the decoder.
        num_tokens: instruction tokens per layer.
        assigner: options of `TopKByScore`.
        weight: of its losses.
        proposal_weight: weight of the losses of its proposals, `loss_*_instructed_enc`.
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
