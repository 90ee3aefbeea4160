"""A class loss for data whose images are annotated with only some of the classes, such as LVIS."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.losses.class_losses import ClassLoss, Placed
from hdetr_d2.ops import AnyClassCost
from hdetr_d2.structures import NO_LOSS, Group, Step

_ABSENT = -1e4
"""A logit so low that the loss of an ignored class and its gradient are exactly 0 in every
dtype.
"""


class FederatedLoss(ClassLoss):
    """Federated loss (https://arxiv.org/abs/2103.07461): a step learns the classes of its targets,
    and some other classes that are sampled as negatives.

    All layers and images of a group share one sample. Classes are sampled without replacement, in
    proportion to `image_counts` to the power `power`, with the random generator of the logits'
    device.

    Args:
        loss: a sigmoid loss with independent classes.
        image_counts: number of training images with each class; None samples all classes uniformly.
        num_kept: classes that a step learns, unless its targets have more.
        power: 0 samples uniformly.

    Raises:
        ValueError: `num_kept` below 1, negative counts.
    """

    rates: Tensor | None

    def __init__(
        self,
        *,
        loss: ClassLoss,
        image_counts: Sequence[int] | None = None,
        num_kept: int = 50,
        power: float = 0.5,
    ) -> None:
        super().__init__()
        if num_kept < 1:
            raise ValueError(f"FederatedLoss keeps at least 1 class, not num_kept={num_kept}.")
        if image_counts is not None and min(image_counts, default=0) < 0:
            raise ValueError(f"image_counts must not be negative: {min(image_counts)}.")
        self.loss = loss
        self.num_kept = num_kept
        counts = None if image_counts is None else torch.tensor([*image_counts]).float()
        # Not part of a checkpoint: it describes the data, and inference does not need it.
        self.register_buffer("rates", None if counts is None else counts**power, persistent=False)

    def num_outputs(self, num_classes: int) -> int:
        """Raises ValueError unless there is an image count for each of the classes."""
        if self.rates is not None and len(self.rates) != num_classes:
            raise ValueError(
                f"{len(self.rates)} image_counts cannot be those of {num_classes} classes."
            )
        return self.loss.num_outputs(num_classes)

    def init_bias(self, bias: Tensor) -> None:
        self.loss.init_bias(bias)

    def scores(self, logits: Tensor) -> Tensor:
        return self.loss.scores(logits)

    def confidence(self, logits: Tensor) -> Tensor:
        return self.loss.confidence(logits)

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        """Over all classes: unlike the annotations, another network's scores cover all of them."""
        return self.loss.divergence(logits, scores)

    def normaliser(self, labels: Tensor, group: Group, step: Step) -> Tensor | None:
        return self.loss.normaliser(labels, group, step)

    @property
    def matching_cost(self) -> AnyClassCost:
        return self.loss.matching_cost

    def quality(self, placed: Placed) -> Tensor | None:
        return self.loss.quality(placed)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        quality: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        kept = self.draw_classes(labels, logits.shape[-1])
        return self.loss(torch.where(kept, logits, _ABSENT), labels, quality, weights)

    def draw_classes(self, labels: Tensor, num_classes: int) -> Tensor:
        """The classes in `labels` `Tensor[L, B, Q]`, and the sampled ones: `Tensor[K]` bool."""
        first = -NO_LOSS  # lower indices stand for queries without a class
        present = torch.zeros(first + num_classes, dtype=torch.bool, device=labels.device)
        present = present.index_fill(0, labels.flatten() + first, True)[first:]
        rates = torch.ones(num_classes, device=labels.device) if self.rates is None else self.rates
        # The largest keys are a sample without replacement. The sample size depends on the labels,
        # so `torch.multinomial` would need it on the host; here present classes simply get the
        # largest keys.
        keys = rates / torch.empty_like(rates).exponential_()
        best = keys.masked_fill(present, torch.inf).topk(min(self.num_kept, num_classes)).indices
        return present.index_fill(0, best, True)
