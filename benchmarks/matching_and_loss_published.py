"""Matching and losses of a step in the usual form: layer by layer, image by image."""

from collections.abc import Sequence

import torch
from matching_and_loss_cases import WEIGHTS
from matching_and_loss_layers import Layers, Target, leaves_of
from matching_and_loss_sides import Contender
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss

from hdetr_d2.structures import GroupOutput

ALPHA, GAMMA, EPS = 0.25, 2, 1e-8


def published(outputs: Sequence[GroupOutput]) -> Contender:
    """The formulas of DETR, Deformable-DETR and H-DETR with functions of PyTorch and
    torchvision.
    """
    groups = [Layers.of(output) for output in outputs]

    def losses() -> dict[str, Tensor]:
        found = {}
        for group in groups:
            targets = group.repeated_targets()
            for layer, predictions in zip(group.suffixes(), group.predictions, strict=True):
                for kind, loss in _layer_losses(*predictions, targets).items():
                    found[f"loss_{kind}{group.group_suffix()}{layer}"] = WEIGHTS[kind] * loss
        return found

    return Contender(losses, leaves_of(groups))


def _layer_losses(logits: Tensor, boxes: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
    pairs = _match(logits, boxes, targets)
    image = torch.cat([torch.full_like(query, i) for i, (query, _) in enumerate(pairs)])
    query = torch.cat([query for query, _ in pairs])
    labels, learned = (
        torch.cat([t[name][row] for t, (_, row) in zip(targets, pairs, strict=True)])
        for name in ("labels", "boxes")
    )
    one_hot = torch.zeros_like(logits)
    one_hot[image, query, labels] = 1
    matched = boxes[image, query]
    focal = sigmoid_focal_loss(logits, one_hot, alpha=ALPHA, gamma=GAMMA, reduction="sum")
    giou = generalized_box_iou(_corners(matched), _corners(learned)).diag()
    sums = {"class": focal, "bbox": (matched - learned).abs().sum(), "giou": (1 - giou).sum()}
    num_targets = max(1, sum(len(target["labels"]) for target in targets))
    return {kind: each / num_targets for kind, each in sums.items()}


@torch.no_grad()
def _match(logits: Tensor, boxes: Tensor, targets: Sequence[Target]) -> list[tuple[Tensor, Tensor]]:
    """Queries and targets of the pairs of each image. Costs are computed between all queries and
    all targets of the batch, of which an image uses its own.
    """
    labels, learned = (torch.cat([t[name] for t in targets]) for name in ("labels", "boxes"))
    score, predicted = logits.flatten(0, 1).sigmoid(), boxes.flatten(0, 1)
    positive = ALPHA * (1 - score) ** GAMMA * -(score + EPS).log()
    negative = (1 - ALPHA) * score**GAMMA * -(1 - score + EPS).log()
    cost = (
        WEIGHTS["class"] * (positive[:, labels] - negative[:, labels])
        + WEIGHTS["bbox"] * torch.cdist(predicted, learned, p=1)
        - WEIGHTS["giou"] * generalized_box_iou(_corners(predicted), _corners(learned))
    )
    blocks = cost.view(*boxes.shape[:2], -1).cpu().split([len(t["labels"]) for t in targets], -1)
    solved = (linear_sum_assignment(block[image]) for image, block in enumerate(blocks))
    return [
        (torch.as_tensor(query, device=boxes.device), torch.as_tensor(row, device=boxes.device))
        for query, row in solved
    ]


def _corners(boxes: Tensor) -> Tensor:
    return box_convert(boxes, "cxcywh", "xyxy")
