"""Feature distillation (RT-DETRv4, https://arxiv.org/abs/2510.25257): one level of the encoder
learns the features of a large frozen network.
"""

import torch.nn.functional as F
from torch import nn

from hdetr_d2.errors import MisfitError
from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import FeatureTeacher


class FeatureDistillation(Scheme):
    """A linear layer projects the tokens of the encoder's output; the loss is 1 - cosine similarity
    with the teacher's map, averaged over all tokens that are not padding.

    Args:
        teacher: provides the map.
        dim: channels C of the tokens.
        teacher_dim: channels of the teacher's map.
        level: of the encoder's output; 0 is the finest, -1 the coarsest.
        weight: of the loss.
        name: of the loss.

    Raises:
        ValueError: fewer than one channel.
    """

    def __init__(
        self,
        *,
        teacher: FeatureTeacher,
        dim: int,
        teacher_dim: int,
        level: int = -1,
        weight: float = 5.0,
        name: str = "features",
    ) -> None:
        super().__init__(name)
        check_at_least(1, dim=dim, teacher_dim=teacher_dim)
        self.teacher = teacher
        self.level = level
        self.weight = weight
        self.projector = nn.Linear(dim, teacher_dim)

    def contribute(self, context: Context) -> Contribution:
        """
        Raises:
            MisfitError: the teacher's map has a different number of channels.
        """
        maps = context.maps
        tokens, padding = maps.memory.level(self.level)
        taught = self.teacher(context.inputs, maps.size, tokens.device)
        if taught.shape[1] != self.projector.out_features:
            raise MisfitError(
                f"teacher_dim={self.projector.out_features}, but the teacher's map has "
                f"{taught.shape[1]} channels."
            )
        shape = maps.memory.shapes[self.level]
        if taught.shape[-2:] != shape:
            taught = F.interpolate(taught, size=shape, mode="bilinear", align_corners=False)
        aims = taught.flatten(2).transpose(1, 2).float()
        distance = 1 - F.cosine_similarity(self.projector(tokens).float(), aims, dim=-1)
        seen = (~padding).float()
        loss = (distance * seen).sum() / seen.sum().clamp(min=1)
        return Contribution(losses={f"loss_{self.name}": self.weight * loss})
