"""The set criterion: matching, and the losses of all layers of a group at once, on the dense
assignment.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from hdetr_d2.losses.class_losses import ClassLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import box_cxcywh_to_xyxy, generalized_box_iou
from hdetr_d2.structures import Assignment, GroupOutput, Step

_NEUTRAL = 0.5
"""All four numbers of the box that stands on both sides where a query has no target."""


class Criterion(nn.Module):
    """Which targets the queries learn, and the class, L1 and GIoU losses (DETR,
    https://arxiv.org/abs/2005.12872) of a query group.

    Args:
        class_loss: the loss of the logits.
        matcher: assigns targets to queries, by the cost that fits the class loss.
        weights: of the losses "class", "bbox" and "giou".
    """

    def __init__(
        self, *, class_loss: ClassLoss, matcher: HungarianMatcher, weights: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.class_loss = class_loss
        self.matcher = matcher
        if set(weights) != {"class", "bbox", "giou"}:
            raise ValueError(
                f"criterion.weights must name ['bbox', 'class', 'giou'], not {sorted(weights)}."
            )
        self.weights = dict(weights)

    def assign(self, outputs: Sequence[GroupOutput], progress: float = 1.0) -> list[Assignment]:
        """The assignment of each output, at this part of the training: all that need matching in
        one call, the others know theirs.
        """
        known = [output.group.assigner.assignment for output in outputs]
        pairs = zip(outputs, known, strict=True)
        unknown = [output for output, answer in pairs if answer is None]
        matched = iter(self.matcher(unknown, self.class_loss.matching_cost, progress))
        return [next(matched) if answer is None else answer for answer in known]

    def forward(self, output: GroupOutput, assignment: Assignment, step: Step) -> dict[str, Tensor]:
        """Weighted losses of a group by name: `loss_class`, then the group, then the layer (none
        for the last).

        Args:
            output: of a group with L layers.
            assignment: `Tensor[L, B, Q]`.
            step: that these images are of.
        """
        group = output.group
        of_boxes = group.normaliser(step)
        matched = Matched(output, assignment)
        normalisers = {
            "class": self.class_loss.normaliser(matched.labels, group, step),
            "bbox": of_boxes,
            "giou": of_boxes,
        }
        sums = {
            "class": self.loss_class(matched),
            "bbox": self.loss_bbox(matched),
            "giou": self.loss_giou(matched),
        }
        losses = {}
        for kind, per_layer in sums.items():
            weighted = per_layer * (group.weight * self.weights[kind]) / normalisers[kind]
            losses.update(_named(f"loss_{kind}", group.name, weighted))
        return losses

    def loss_class(self, matched: "Matched") -> Tensor:
        """`Tensor[L]`: the class loss, summed."""
        boxes, target = matched.corners
        quality = self.class_loss.quality(boxes.detach(), target)
        return self.class_loss(matched.logits, matched.labels, quality)

    def loss_bbox(self, matched: "Matched") -> Tensor:
        """`Tensor[L]`: L1 distance of the normalised cxcywh, summed over matched queries."""
        return (matched.boxes - matched.target_boxes).abs().sum((1, 2, 3))

    def loss_giou(self, matched: "Matched") -> Tensor:
        """`Tensor[L]`: 1 - GIoU, summed over matched queries."""
        return (1 - generalized_box_iou(*matched.corners)).sum((1, 2))


class Matched:
    """Predictions beside what they must learn, dense over all queries.

    A query without a target has the same neutral box on both sides: its box losses are exactly zero
    and so are their gradients, whatever it predicted.
    """

    def __init__(self, output: GroupOutput, assignment: Assignment) -> None:
        predictions, targets, layers = output.predictions, output.targets, len(assignment)
        has_target = (assignment >= 0)[..., None]
        index = assignment.clamp(min=0)
        labels = targets.labels[None].expand(layers, -1, -1).gather(2, index)
        boxes = targets.boxes[None].expand(layers, -1, -1, -1)
        boxes = boxes.gather(2, index[..., None].expand(-1, -1, -1, 4))
        self.logits = predictions.logits
        self.labels = torch.where(assignment >= 0, labels, assignment)  # [L, B, Q]
        self.boxes = torch.where(has_target, predictions.boxes.float(), _NEUTRAL)
        self.target_boxes = torch.where(has_target, boxes, _NEUTRAL)

    @cached_property
    def corners(self) -> tuple[Tensor, Tensor]:
        """Boxes and their targets, `Tensor[L, B, Q, 4]` xyxy each."""
        return box_cxcywh_to_xyxy(self.boxes), box_cxcywh_to_xyxy(self.target_boxes)


def is_of_last_layer(name: str) -> bool:
    """Whether `name` is that of a loss of a group's last layer, of all that the criterion gives."""
    return re.fullmatch(r"loss_\w+", name) is not None and re.search(r"_\d+$", name) is None


def _named(name: str, group: str, per_layer: Tensor) -> dict[str, Tensor]:
    """`loss_class`, `loss_class_one2many_0`, `loss_class_enc`: one 0-d tensor a layer."""
    name = f"{name}_{group}" if group else name
    *earlier, last = per_layer.unbind()
    return {**{f"{name}_{layer}": value for layer, value in enumerate(earlier)}, name: last}
