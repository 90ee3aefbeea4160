"""How well predictions fit targets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou
from hdetr_d2.structures import GroupOutput, Scores


@dataclass
class Fit:
    """The fit between each target and the queries of its image, without gradients:
    `Tensor[L, B, G, Q]` for all queries, or `Tensor[L, B, G, N]` for some of them.

    scores: of the target's class. iou: of the boxes. Values at padded targets are undefined.
    """

    scores: Tensor
    iou: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, output: GroupOutput, scores: Scores) -> "Fit":
        """The fit of a group's predictions to its targets; `scores` maps logits to scores."""
        predictions, targets = output.predictions, output.targets
        of_classes = scores(predictions.logits.float()).transpose(2, 3)  # [L, B, K, Q]
        labels = targets.labels[None, :, :, None]
        shape = (of_classes.shape[0], -1, -1, of_classes.shape[3])
        boxes = box_cxcywh_to_xyxy(predictions.boxes.float())[:, :, None]
        truth = box_cxcywh_to_xyxy(targets.boxes.float())[None, :, :, None]
        return cls(of_classes.gather(2, labels.expand(shape)), box_iou(boxes, truth))

    @classmethod
    @torch.no_grad()
    def of_pairs(cls, output: GroupOutput, scores: Scores, queries: Tensor) -> "Fit":
        """The same for each target with its own `queries` only, `Tensor[L, B, G, N]` int64 >= 0."""
        predictions, targets = output.predictions, output.targets
        of_classes = scores(predictions.logits.float())  # [L, B, Q, K]
        chosen = queries * of_classes.shape[3] + targets.labels[None, :, :, None]
        at = of_classes.flatten(2).gather(2, chosen.flatten(2)).view_as(queries)
        rows = queries.flatten(2)[..., None].expand(-1, -1, -1, 4)
        boxes = predictions.boxes.float().gather(2, rows).view(*queries.shape, 4)
        truth = targets.boxes.float()[None, :, :, None]
        return cls(at, box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(truth)))
