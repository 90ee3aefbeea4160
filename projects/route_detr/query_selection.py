"""The query selection of the released Route-DETR code."""

from torch import Tensor, nn

from hdetr_d2.modeling import ObjectQueries, PredictionHeads


class SeparateQueries(ObjectQueries):
    """Two-stage queries whose content and position are normalised separately: each is a projection
    of the proposal's embedding with its own norm, while Deformable-DETR has one norm for both.

    Args:
        num_queries: of the main group.
        dim: channels C.
        heads: a class and a box head for the proposals.
    """

    def __init__(self, *, num_queries: int, dim: int, heads: PredictionHeads) -> None:
        super().__init__(num_queries=num_queries, dim=dim, heads=heads)
        self.position_proj, self.position_norm = nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        self.content_proj, self.content_norm = nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        for proj in (self.position_proj, self.content_proj):
            nn.init.xavier_uniform_(proj.weight)

    def embed(self, embedding: Tensor) -> tuple[Tensor, ...]:
        position = self.position_norm(self.position_proj(embedding))
        return position, self.content_norm(self.content_proj(embedding))
