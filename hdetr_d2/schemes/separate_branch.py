"""The separate route of Mr. DETR (https://arxiv.org/abs/2412.10028): one-to-many assignment of the
main queries through feed-forward networks of their own.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from hdetr_d2.layers import TwoLinears
from hdetr_d2.matching import TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import QueryGroup


class SeparateBranch(Scheme):
    """The main queries pass the decoder a second time, with separate linear layers in every
    feed-forward network, and learn one-to-many assignment there.

    Args:
        dim: channels C.
        hidden_dim: channels between the two linear layers.
        num_layers: of the decoder.
        assigner: options of `TopKByScore`.
        dropout: between the linear layers.
        weight: of its losses.
        name: of its group.
    """

    def __init__(
        self,
        *,
        dim: int,
        hidden_dim: int,
        num_layers: int,
        assigner: Mapping[str, float],
        dropout: float = 0.0,
        weight: float = 1.0,
        name: str = "separate",
    ) -> None:
        super().__init__(name)
        self.assigner = TopKByScore(**assigner)  # type: ignore[arg-type]
        self.weight = weight
        self.linears = nn.ModuleList(
            TwoLinears(dim=dim, hidden_dim=hidden_dim, dropout=dropout) for _ in range(num_layers)
        )

    def contribute(self, context: Context) -> Contribution:
        group = QueryGroup(
            name=self.name,
            queries=context.main.queries,
            assigner=self.assigner,
            weight=self.weight,
            own={"feed_forward": self._feed_forward},
        )
        return Contribution([group])

    def _feed_forward(self, layer: int, x: Tensor) -> Tensor:
        return self.linears[layer](x)
