"""A class loss for data whose images are annotated with some of the classes only, as in LVIS."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.losses.class_losses import ClassLoss, Placed
from hdetr_d2.ops import AnyClassCost
from hdetr_d2.structures import NO_LOSS, Group, Step

_ABSENT = -1e4
"""A logit so low that the loss of an absent class and its gradient are exactly 0 in every dtype."""


class FederatedLoss(ClassLoss):
    """Federated loss (https://arxiv.org/abs/2103.07461): a step learns the classes that its targets
    have, and of the others a few that are drawn as negatives.

    One draw holds for all layers and images of a group. Classes are drawn without replacement, at
    rates of `image_counts` to the power `power`, by the generator of the logits' device.

    Args:
        loss: a sigmoid loss, of every class for itself.
        image_counts: of every class, in how many training images it is; None draws all classes at
            one rate.
        num_kept: classes that a step learns, if its targets have no more than that.
        power: 0 makes all classes alike.

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
        # Not in a checkpoint: it describes the data, and a model is used without them.
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
        """Of all classes: another network's scores are of those that an image has not been searched
        for, too.
        """
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
        """The classes that `labels` `Tensor[L, B, Q]` have, and drawn ones: `Tensor[K]` bool."""
        first = -NO_LOSS  # the places before it stand for queries without a class
        present = torch.zeros(first + num_classes, dtype=torch.bool, device=labels.device)
        present = present.index_fill(0, labels.flatten() + first, True)[first:]
        rates = torch.ones(num_classes, device=labels.device) if self.rates is None else self.rates
        # The largest of these are a draw without replacement. How many are drawn depends on the
        # labels, so `torch.multinomial` would need that number on the host: present classes win.
        keys = rates / torch.empty_like(rates).exponential_()
        best = keys.masked_fill(present, torch.inf).topk(min(self.num_kept, num_classes)).indices
        return present.index_fill(0, best, True)
