"""Denoising (DN-DETR, https://arxiv.org/abs/2203.01305; DINO, https://arxiv.org/abs/2203.03605):
queries that start at perturbed targets and learn to restore them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.schemes.box_noise import BoxNoise
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Assignment,
    Given,
    Queries,
    QueryGroup,
    Targets,
)

_PADDED_BOX = 0.5
"""All four coordinates of the box of a padding query."""


class Denoising(Scheme):
    """Blocks of queries, each containing all targets of an image under noise of its own. They
    attend to the main queries, which do not attend to them. Nothing is matched: each query learns
    the target it was made from.

    Args:
        num_classes: number of classes.
        dim: channels C.
        box_noise: perturbs the boxes, and sets the number of queries per target in a block.
        label_noise: share of labels that are redrawn uniformly from all classes.
        groups: maximum number of blocks.
        max_queries: limit per image: with many targets there are fewer blocks, but at least one.
            None always uses `groups` blocks.
        weight: of its losses.
        name: of its group.

    Raises:
        ValueError: a count below one, or a share outside of [0, 1].
    """

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        box_noise: BoxNoise,
        label_noise: float,
        groups: int,
        max_queries: int | None = None,
        weight: float = 1.0,
        name: str = "dn",
    ) -> None:
        super().__init__(name)
        limit = 1 if max_queries is None else max_queries
        check_at_least(1, num_classes=num_classes, groups=groups, max_queries=limit)
        if not 0 <= label_noise <= 1:
            raise ValueError(f"label_noise={label_noise} must lie between 0 and 1.")
        self.num_classes = num_classes
        self.box_noise = box_noise
        self.label_noise = label_noise
        self.groups = groups
        self.max_queries = max_queries
        self.weight = weight
        # The last row belongs to no class; the published tables have it too.
        self.label_embed = nn.Embedding(num_classes + 1, dim)

    def class_tables(self) -> list[str]:
        return ["label_embed.weight"]

    def contribute(self, context: Context) -> Contribution:
        targets = context.targets
        blocks = self.num_blocks(targets.labels.shape[1])
        content, boxes = self._noised(targets, blocks)
        queries = Queries(content, context.embed_boxes(boxes), context.reference_at(boxes))
        row = self._assignment(targets).repeat(1, blocks)
        given = Given(row.expand(context.num_layers, -1, -1), repeats=blocks)
        group = QueryGroup(
            name=self.name,
            queries=queries,
            assigner=given,
            weight=self.weight,
            blocks=blocks,
            sees=(context.main.name,),
        )
        return Contribution([group])

    def num_blocks(self, most: int) -> int:
        """The number of blocks for a batch whose fullest image has `most` targets."""
        if self.max_queries is None:
            return self.groups
        return max(1, min(self.groups, self.max_queries // (self.box_noise.kinds * most)))

    def _noised(self, targets: Targets, blocks: int) -> tuple[Tensor, Tensor]:
        """Content `Tensor[B, Q, C]` and boxes `Tensor[B, Q, 4]` of the queries."""
        shape = (-1, blocks, self.box_noise.kinds, -1)
        labels, valid = (t[:, None, None].expand(shape) for t in (targets.labels, targets.valid))
        boxes = self.box_noise(targets.boxes[:, None, None].expand(*shape, -1))
        content = self.label_embed(self._noised_labels(labels))
        real = valid[..., None]
        content, boxes = torch.where(real, content, 0.0), torch.where(real, boxes, _PADDED_BOX)
        return content.flatten(1, 3), boxes.flatten(1, 3)

    def _noised_labels(self, labels: Tensor) -> Tensor:
        drawn = torch.randint_like(labels, self.num_classes)
        changed = torch.rand(labels.shape, device=labels.device) < self.label_noise
        return torch.where(changed, drawn, labels)

    def _assignment(self, targets: Targets) -> Assignment:
        """The assignment of one block, `Tensor[B, kinds * G]`. A batch without targets has nothing
        to learn.
        """
        places = torch.arange(targets.labels.shape[1], device=targets.labels.device)
        positive = torch.where(targets.valid, places, self.box_noise.padding)
        negatives = (self.box_noise.kinds - 1) * len(places)
        row = F.pad(positive, (0, negatives), value=BACKGROUND)
        return torch.where(targets.valid.any(), row, NO_LOSS)
