"""The matcher behind the signatures of other projects: two operator calls in place of a cost matrix
over all targets of the batch and a loop over `scipy.optimize.linear_sum_assignment`.

docs/OPS.md shows the line that switches each project to it. The matched pairs agree except for
rounding: the originals add 1e-8 to a probability before taking its logarithm, these compute the
logarithm from the logit. Non-finite costs are refused, as SciPy does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from hdetr_d2.ops import (
    ClassCost,
    CostWeights,
    FocalCost,
    SoftmaxCost,
    batched_assignment,
    matching_cost,
)
from hdetr_d2.utils.device import to_device

_TERMS = ("class", "L1", "GIoU")


class Matcher(nn.Module):
    """What these matchers have in common; the subclasses differ in their class cost.

    Args:
        cost_class, cost_bbox, cost_giou: weights of the costs.
        class_cost: the class cost.
    """

    def __init__(
        self, cost_class: float, cost_bbox: float, cost_giou: float, class_cost: ClassCost
    ) -> None:
        super().__init__()
        if not any((cost_class, cost_bbox, cost_giou)):
            raise ValueError("cost_class, cost_bbox and cost_giou are all 0.")
        self.cost_class = cost_class
        self.cost_bbox = cost_bbox
        self.cost_giou = cost_giou
        self.class_cost = class_cost

    @torch.no_grad()
    def forward(
        self, outputs: Mapping[str, Any], targets: Sequence[Mapping[str, Tensor]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Waits for the device once.

        Args:
            outputs: "pred_logits" `Tensor[B, Q, K]` and "pred_boxes" `Tensor[B, Q, 4]` cxcywh.
            targets: per image, "labels" `Tensor[G]` and "boxes" `Tensor[G, 4]` cxcywh.

        Returns:
            For each image, the matched queries in ascending order and their targets: int64, on the
            host.

        Raises:
            ValueError: a cost is not finite; the message says which one, and in which image. Or the
                targets are not those of the outputs' images, or an image has more labels than
                boxes, or fewer.
        """
        if not targets:
            return []
        logits, boxes = outputs["pred_logits"], outputs["pred_boxes"]
        _check(targets, len(logits))
        labels = pad_sequence([target["labels"] for target in targets], batch_first=True)
        counts = to_device([len(target["boxes"]) for target in targets], labels)
        cost, nonfinite = matching_cost(
            logits,
            boxes,
            labels,
            pad_sequence([target["boxes"] for target in targets], batch_first=True),
            counts,
            class_cost=self.class_cost,
            weights=CostWeights(self.cost_class, self.cost_bbox, self.cost_giou),
        )
        answer = batched_assignment(cost, counts)
        return _pairs(*torch.cat([answer, nonfinite], 1).cpu().split([boxes.shape[1], 3], 1))


class DetrMatcher(Matcher):
    """Replaces the `HungarianMatcher` of DETR."""

    def __init__(self, cost_class: float = 1, cost_bbox: float = 1, cost_giou: float = 1) -> None:
        super().__init__(cost_class, cost_bbox, cost_giou, SoftmaxCost())


class DeformableDetrMatcher(Matcher):
    """Replaces the `HungarianMatcher` of Deformable-DETR and H-Deformable-DETR."""

    def __init__(self, cost_class: float = 1, cost_bbox: float = 1, cost_giou: float = 1) -> None:
        super().__init__(cost_class, cost_bbox, cost_giou, FocalCost())


class DetrexMatcher(Matcher):
    """Replaces the `HungarianMatcher` of detrex."""

    def __init__(
        self,
        cost_class: float = 1,
        cost_bbox: float = 1,
        cost_giou: float = 1,
        cost_class_type: str = "focal_loss_cost",
        alpha: float = 0.25,
        gamma: float = 2.0,
    ) -> None:
        known: dict[str, ClassCost] = {
            "focal_loss_cost": FocalCost(alpha, gamma),
            "ce_cost": SoftmaxCost(),
        }
        if cost_class_type not in known:
            raise ValueError(f"cost_class_type={cost_class_type!r} is none of {list(known)}.")
        super().__init__(cost_class, cost_bbox, cost_giou, known[cost_class_type])
        self.cost_class_type = cost_class_type
        self.alpha = alpha
        self.gamma = gamma


class RtDetrMatcher(Matcher):
    """Replaces the `HungarianMatcher` of RT-DETR, RT-DETRv2, D-FINE and DEIM.

    Args:
        weight_dict: "cost_class", "cost_bbox" and "cost_giou".
        use_focal_loss, alpha, gamma: whether the class cost is that of the focal loss (otherwise of
            a softmax), and its parameters.
    """

    def __init__(
        self,
        weight_dict: Mapping[str, float],
        use_focal_loss: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(
            weight_dict["cost_class"],
            weight_dict["cost_bbox"],
            weight_dict["cost_giou"],
            FocalCost(alpha, gamma) if use_focal_loss else SoftmaxCost(),
        )

    def forward(  # type: ignore[override]
        self, outputs: Mapping[str, Any], targets: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Returns the pairs under "indices"."""
        return {"indices": super().forward(outputs, targets)}


def _check(targets: Sequence[Mapping[str, Tensor]], images: int) -> None:
    """Padding and problems per image would hide these mistakes."""
    if len(targets) != images:
        raise ValueError(f"There are outputs of {images} images, but targets of {len(targets)}.")
    for image, target in enumerate(targets):
        labels, boxes = len(target["labels"]), len(target["boxes"])
        if labels != boxes:
            raise ValueError(f"Image {image} of the batch has {labels} labels, but {boxes} boxes.")


def _pairs(answer: Tensor, nonfinite: Tensor) -> list[tuple[Tensor, Tensor]]:
    """`Tensor[B, Q]`, the target of each query or -1, and `Tensor[B, 3]`, both on the host."""
    for image, counts in enumerate(nonfinite.tolist()):
        if any(counts):
            terms = [term for term, count in zip(_TERMS, counts, strict=True) if count]
            raise ValueError(
                f"Image {image} of the batch has {' and '.join(terms)} costs that are not finite."
            )
    queries = [(row >= 0).nonzero().squeeze(1) for row in answer]
    return [(index, row[index]) for index, row in zip(queries, answer, strict=True)]
