"""What a router knows about each query: its similarity to the others, its confidence, and its
size.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.losses import ClassLoss


class Similarity(nn.Module):
    """The mean cosine similarity of a query to the others.

    Args:
        placed: of content + position; otherwise of the content only.
        rectified: treat negative similarities as 0.
        over_all: divide the sum over the others by the number of all queries instead of the others.
    """

    def __init__(
        self, *, placed: bool = False, rectified: bool = False, over_all: bool = False
    ) -> None:
        super().__init__()
        self.placed = placed
        self.rectified = rectified
        self.over_all = over_all

    def forward(self, content: Tensor, position: Tensor) -> Tensor:
        """`Tensor[B, N, C]` twice to `Tensor[B, N]`."""
        direction = F.normalize(content + position if self.placed else content, dim=-1)
        cosine = direction @ direction.transpose(1, 2)
        if self.rectified:
            cosine = cosine.clamp(min=0)
        number = cosine.shape[-1]
        others = cosine.sum(-1) - cosine.diagonal(dim1=1, dim2=2)
        return others / max(1, number if self.over_all else number - 1)


class Confidence(Protocol):
    """The confidence of a query."""

    def __call__(self, logits: Tensor) -> Tensor:
        """`Tensor[B, N, K]` to `Tensor[B, N]` in [0, 1]."""


class ScoreConfidence(nn.Module):
    """The highest class score according to the model's class loss.

    Args:
        class_loss: that of the criterion.
    """

    def __init__(self, *, class_loss: ClassLoss) -> None:
        super().__init__()
        self.class_loss = class_loss

    def forward(self, logits: Tensor) -> Tensor:
        return self.class_loss.scores(logits).amax(-1)


class SoftmaxConfidence:
    """The highest softmax probability over all logits, whatever loss they are trained with."""

    def __call__(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1).amax(-1)


class Descriptor(nn.Module):
    """Similarity, confidence and log area of every query, without gradients.

    Args:
        similarity: from content and position.
        confidence: from the logits of the previous layer; 0 in layer 0.
        least_area: smaller boxes, as fractions of the image, are treated as having this area.
    """

    num_features = 3

    def __init__(
        self, *, similarity: Similarity, confidence: Confidence, least_area: float = 1e-6
    ) -> None:
        super().__init__()
        self.similarity = similarity
        self.confidence = confidence
        self.least_area = least_area

    @torch.no_grad()
    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor | None, logits: Tensor | None
    ) -> Tensor:
        """`Tensor[B, N, 3]`; see `QueryState` for the arguments."""
        similarity = self.similarity(content, position)
        confidence = torch.zeros_like(similarity) if logits is None else self.confidence(logits)
        return torch.stack([similarity, confidence, self._log_area(reference, similarity)], -1)

    def _log_area(self, reference: Tensor | None, like: Tensor) -> Tensor:
        """`Tensor[B, N]`; a query without a size is treated as large as the image, whose area is
        1.
        """
        if reference is None or reference.shape[-1] == 2:
            return torch.zeros_like(like)
        return reference[..., 2:].prod(-1).clamp(min=self.least_area).log()
