"""The set criterion: assignment, and the losses of all layers of a group at once."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.errors import MisfitError
from hdetr_d2.losses.class_losses import ClassLoss
from hdetr_d2.losses.matched import Matched, beside_targets
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import box_losses
from hdetr_d2.structures import Answers, Group, GroupOutput, Learned, Predictions, Step
from hdetr_d2.utils.device import to_device

KINDS = ("class", "bbox", "giou")


class Criterion(nn.Module):
    """Assigns targets to queries and computes the class, L1 and GIoU losses of a query group (DETR,
    https://arxiv.org/abs/2005.12872).

    Args:
        class_loss: the loss of the logits.
        matcher: assigns targets to queries at a cost that goes with the class loss.
        weights: of the losses "class", "bbox" and "giou".
        weights_of: overrides of these weights by group name ("main" for the main group).

    Raises:
        ValueError: unknown names of weights.
    """

    def __init__(
        self,
        *,
        class_loss: ClassLoss,
        matcher: HungarianMatcher,
        weights: Mapping[str, float],
        weights_of: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__()
        self.class_loss = class_loss
        self.matcher = matcher
        if set(weights) != set(KINDS):
            raise ValueError(f"criterion.weights must name {sorted(KINDS)}, not {sorted(weights)}.")
        self.weights = dict(weights)
        self.weights_of = {name: dict(own) for name, own in (weights_of or {}).items()}
        if wrong := sorted({kind for own in self.weights_of.values() for kind in own} - {*weights}):
            raise ValueError(f"criterion.weights_of cannot name {wrong}, only {sorted(weights)}.")

    def assign(self, outputs: Sequence[GroupOutput], progress: float = 1.0) -> list[Learned]:
        """The assignment of each output at the current training progress; all outputs that need
        matching are solved in one call.
        """
        unknown = [output for output in outputs if output.group.assigner.hungarian]
        matched = iter(self.matcher(unknown, self.class_loss.matching_cost, progress))
        answers = [next(matched) if o.group.assigner.hungarian else None for o in outputs]
        return [
            output.group.assigner.assign(output, self.class_loss.scores, answer)
            for output, answer in zip(outputs, answers, strict=True)
        ]

    def forward(self, output: GroupOutput, learned: Learned, step: Step) -> dict[str, Tensor]:
        """The weighted losses of a group by name: `loss_class`, then the group, then the layer
        (omitted for the last).

        Args:
            output: of a group with L layers.
            learned: the objective of its queries: an assignment `Tensor[L, B, Q]`, pairs or
                answers.
            step: the training step.
        """
        group = output.group
        per_query = group.normaliser(step)[..., None]
        if isinstance(learned, Answers):
            sums = self.loss_answers(output.predictions, learned)
        else:
            matched = beside_targets(output, learned)
            of_classes = self.class_loss.normaliser(matched.labels, group, step)
            if of_classes is not None:
                kinds = torch.broadcast_tensors(of_classes[..., None], per_query, per_query)
                per_query = torch.cat(kinds, -1)
            sums = torch.cat([self.loss_class(matched)[:, None], self.loss_boxes(matched)], 1)
        weights = self.weights | self.weights_of.get(group.name or "main", {})
        factors = to_device([group.weight * weights[kind] for kind in KINDS], sums)
        return _named(group, sums * (factors / per_query))

    def loss_class(self, matched: Matched) -> Tensor:
        """`Tensor[L]`: the class loss, summed."""
        asked = (matched.logits, matched.labels, matched.quality(self.class_loss))
        if matched.importance is not None:
            return (self._each_query(*asked) * matched.importance).sum((1, 2))
        if matched.class_weights is None:  # class losses that know no weights can be used too
            return self.class_loss(*asked)
        return self.class_loss(*asked, matched.class_weights)

    def _each_query(self, logits: Tensor, labels: Tensor, quality: Tensor | None) -> Tensor:
        """`Tensor[L, B, Q]`: the class loss of each query, computed by treating each query as a
        layer.

        Raises:
            MisfitError: the loss compares the queries of an image.
        """
        if self.class_loss.compares_queries:
            raise MisfitError(
                f"{type(self.class_loss).__name__} compares the queries of an image with each "
                "other: it cannot be weighed query by query, as a teacher's boxes want it."
            )
        alone = None if quality is None else quality.reshape(-1, 1, 1)
        loss = self.class_loss(logits.flatten(0, 2)[:, None, None], labels.reshape(-1, 1, 1), alone)
        return loss.view(labels.shape)

    def loss_boxes(self, matched: Matched) -> Tensor:
        """`Tensor[L, 2]`, summed over matched queries: L1 distance of the normalised cxcywh, and
        1 - GIoU.
        """
        return matched.weighed(matched.box_losses).sum((1, 2))

    def loss_answers(self, predictions: Predictions, answers: Answers) -> Tensor:
        """`Tensor[L, 3]` in the order of `KINDS`, a weighted sum over all queries: the divergence
        from the scores of the answers, and the box losses.
        """
        found = predictions.boxes.float()
        truth = answers.boxes.expand_as(found).flatten(0, 1)
        place = torch.arange(found.shape[2], device=found.device).expand(len(truth), -1)
        boxes = box_losses(found.flatten(0, 1), truth, place).unflatten(0, found.shape[:2])
        classes = self.class_loss.divergence(predictions.logits, answers.scores)
        each = torch.cat([classes[..., None], boxes], -1) * answers.weights[..., None]
        return each.sum((1, 2))


def is_of_last_layer(name: str) -> bool:
    """Whether `name` is a loss of a group's last layer, among the losses of the criterion."""
    return re.fullmatch(r"loss_\w+", name) is not None and re.search(r"_\d+$", name) is None


def _named(group: Group, losses: Tensor) -> dict[str, Tensor]:
    """Names the losses `Tensor[L, 3]`, in the order of `KINDS`: 0-d `loss_class`,
    `loss_class_one2many_0`, `loss_class_enc`.
    """
    of = f"_{group.name}" if group.name else ""
    last = len(losses) - 1
    layers = [f"_{group.first_layer + layer}" for layer in range(last)] + [""]
    # In a single operation: the gradient of many slices would be assembled from as many parts.
    each = losses.flatten().unbind()
    return {
        f"loss_{kind}{of}{name}": each[layer * len(KINDS) + column]
        for column, kind in enumerate(KINDS)
        for layer, name in enumerate(layers)
    }
