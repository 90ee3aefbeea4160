"""Predictions paired with their targets."""

import torch
from torch import Tensor

from hdetr_d2.losses.class_losses import ClassLoss
from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou, box_losses, generalized_box_iou
from hdetr_d2.structures import Assignment, GroupOutput, Learned, Pairs


class Matched:
    """The logits of all queries with their labels, and the boxes of all rows (here, the queries)
    with their target boxes.

    logits: `Tensor[L, B, Q, num_outputs]`. labels: `Tensor[L, B, Q]`, or `BACKGROUND`, or
    `NO_LOSS`. class_weights: `Tensor[L, B, Q]`, factors on the target scores; None is 1.
    importance: `Tensor[L, B, Q]`, weights of the class losses; None is 1.
    """

    class_weights: Tensor | None = None
    importance: Tensor | None = None

    def __init__(self, output: GroupOutput, assignment: Assignment) -> None:
        layers = len(assignment)
        index = assignment.clamp(min=0)
        labels = output.targets.labels[None].expand(layers, -1, -1).gather(2, index)
        self.logits = output.predictions.logits
        self.labels = torch.where(assignment >= 0, labels, assignment)
        self._set_boxes(output.predictions.boxes.float(), output.targets.boxes, assignment)

    def _set_boxes(self, boxes: Tensor, truth: Tensor, target: Tensor) -> None:
        """Sets the boxes of rows `Tensor[L, B, N, 4]` with targets `Tensor[L, B, N]` among `truth`
        `Tensor[B, G, 4]`.
        """
        self._rows = target.shape
        truth = truth[None].expand(len(target), -1, -1, -1)
        self._boxes = (boxes.flatten(0, 1), truth.flatten(0, 1), target.flatten(0, 1))

    @property
    def box_losses(self) -> Tensor:
        """`Tensor[L, B, N, 2]`: L1 distance and 1 - GIoU of each row; zero, with zero gradients,
        where a row has no target, whatever was predicted.
        """
        return box_losses(*self._boxes).view(*self._rows, 2)

    @property
    def iou(self) -> Tensor:
        """The IoU of each row's box with its target, `Tensor[L, B, N]`, without gradient; arbitrary
        where a row has no target.
        """
        return box_iou(*self._corners).view(self._rows)

    @property
    def giou(self) -> Tensor:
        """The generalised IoU, likewise."""
        return generalized_box_iou(*self._corners).view(self._rows)

    @property
    def _corners(self) -> tuple[Tensor, Tensor]:
        """Boxes and targets, `Tensor[L * B, N, 4]` xyxy each; finite also where there is no
        target.
        """
        boxes, truth, target = self._boxes
        wanted = truth.gather(1, target.clamp(min=0)[..., None].expand(-1, -1, 4))
        wanted = box_cxcywh_to_xyxy(wanted)
        found = box_cxcywh_to_xyxy(boxes.detach())
        return torch.where((target >= 0)[..., None], found, wanted), wanted

    def quality(self, class_loss: ClassLoss) -> Tensor | None:
        """The class loss's quality of each query's box, `Tensor[L, B, Q]`."""
        return class_loss.quality(self)

    def weighed(self, losses: Tensor) -> Tensor:
        """Multiplies `Tensor[L, B, N, ...]` by the weights of the rows."""
        return losses


class MatchedPairs(Matched):
    """The rows are pairs of a query and a target."""

    def __init__(self, output: GroupOutput, pairs: Pairs) -> None:
        self.pairs = pairs
        super().__init__(output, pairs.assignment)
        self.importance = pairs.importance
        if pairs.weights is not None and pairs.importance is None:
            self.class_weights = pairs.at_queries(pairs.weights)

    def _set_boxes(self, boxes: Tensor, truth: Tensor, target: Tensor) -> None:
        queries = self.pairs.queries
        target = torch.arange(queries.shape[2], device=queries.device)[:, None]
        target = torch.where(queries >= 0, target, queries).flatten(2)
        rows = queries.flatten(2).clamp(min=0)[..., None].expand(-1, -1, -1, 4)
        super()._set_boxes(boxes.gather(2, rows), truth, target)

    def quality(self, class_loss: ClassLoss) -> Tensor | None:
        quality = self.pairs.quality
        if quality is None:
            measured = super().quality(class_loss)
            if measured is None:
                return None
            quality = measured.view(self.pairs.queries.shape)
        return self.pairs.at_queries(quality)

    def weighed(self, losses: Tensor) -> Tensor:
        weights = self.pairs.weights
        if weights is None:
            return losses
        return losses * weights.flatten(2).view(*losses.shape[:3], *(1,) * (losses.dim() - 3))


def beside_targets(output: GroupOutput, learned: Learned) -> Matched:
    """Pairs the predictions of a group with its objective."""
    return (MatchedPairs if isinstance(learned, Pairs) else Matched)(output, learned)  # type: ignore[arg-type]
