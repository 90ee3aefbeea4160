"""The predictions of a training step of H-Deformable-DETR, and their objectives."""

from collections.abc import Mapping

import torch
from assignment_cases import ENCODER, IMAGES, ONE2MANY, ONE2ONE, Group, trained
from torch import Tensor

from hdetr_d2.structures import PROPOSALS, GroupOutput, Match, Predictions, Targets
from hdetr_d2.structures import Group as Learner

CLASSES = 91
WEIGHTS: Mapping[str, float] = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
# By the suffix of their losses: the decoder's two groups, then the encoder's proposals.
GROUPS: Mapping[str, Group] = {"": ONE2ONE, "one2many": ONE2MANY, PROPOSALS: ENCODER}
SMOKE_GROUPS = {name: group.shrunk() for name, group in GROUPS.items()}


def draw_step(groups: Mapping[str, Group], targets: int, device: str) -> list[GroupOutput]:
    """The outputs of a partially trained model, with this many targets per image. Logits and boxes
    require gradients.
    """
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (IMAGES, targets), generator=rng)
    boxes = torch.rand(IMAGES, targets, 4, generator=rng) * 0.5 + 0.1
    truth = Targets(
        *(each.to(device) for each in (labels, boxes, torch.ones_like(labels, dtype=torch.bool)))
    )
    outputs = []
    for name, group in groups.items():
        learned = truth.class_agnostic() if name == PROPOSALS else truth
        predictions = _predict(group, learned.labels.cpu(), boxes, rng)
        leaves = (each.to(device).requires_grad_() for each in predictions)
        match = Match((group.capacity,) * group.layers)
        learner = Learner(name=name, assigner=match)
        outputs.append(GroupOutput(learner, Predictions(*leaves), learned))
    return outputs


def _predict(
    group: Group, labels: Tensor, boxes: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Logits `[L, B, Q, K]` and boxes `[L, B, Q, 4]`: a query near a target knows its class."""
    shape = (group.layers, IMAGES, group.queries)
    predicted, near = trained(boxes.repeat(group.layers, 1, 1), group.queries, rng)
    known = labels.repeat(group.layers, 1).gather(1, near.clamp(min=0))
    gain = torch.where(near >= 0, 5.0, 0.0)
    logits = torch.randn(*near.shape, CLASSES, generator=rng) - 5
    logits.scatter_add_(2, known[..., None], gain[..., None])
    return logits.view(*shape, CLASSES), predicted.view(*shape, 4)
