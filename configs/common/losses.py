"""Class losses to replace `model.criterion.class_loss`."""

from detectron2.config import LazyCall as L

from hdetr_d2.losses import (
    FederatedLoss,
    FocalLoss,
    GIoUAwareLoss,
    GradedLoss,
    IoUAwareLoss,
    MatchabilityLoss,
    PositionSupervisedLoss,
    VarifocalLoss,
)
from hdetr_d2.matching import HighOrderMatcher

# Align-DETR's; for several queries per target, use it with the scheme `align_detr`.
iou_aware = L(IoUAwareLoss)(mix=0.25, beta=2.0, alpha=0.25, gamma=2.0)

# DEIM's, made for models with few well-fitting queries, and RT-DETR's.
matchability = L(MatchabilityLoss)(beta=1.5, negative_weight=1.0, alpha=0.25, gamma=2.0)
varifocal = L(VarifocalLoss)(beta=2.0, negative_weight=0.75, alpha=0.25, gamma=2.0)

# LoRA-DETR's, which uses the grades given by the assigners of its branches.
graded = L(GradedLoss)(scale=0.25, beta=1.5, alpha=0.25, gamma=2.0)

# Stable-DINO's, with its matching cost; its models use model.criterion.weights["class"] = 6.
position_supervised = L(PositionSupervisedLoss)(
    power=2.0, cost_power=0.5, positive_weight=0.25, negative_weight=0.75, alpha=0.25, gamma=2.0
)

# Rank-DETR's, and the matcher for its last quarter, which replaces model.criterion.matcher.
giou_aware = L(GIoUAwareLoss)(positive_weight=0.25, negative_weight=0.75, alpha=0.25, gamma=2.0)
high_order_matcher = L(HighOrderMatcher)(
    weights={"class": 2.0, "bbox": 5.0, "giou": 2.0}, order=4.0, start=0.75
)

# For LVIS; its authors use 50 classes and the square root.
federated = L(FederatedLoss)(
    loss=L(FocalLoss)(alpha=0.25, gamma=2.0),
    image_counts="${data.image_counts}",
    num_kept=50,
    power=0.5,
)
