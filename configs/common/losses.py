"""Class losses that stand in the place of `model.criterion.class_loss`."""

from detectron2.config import LazyCall as L

from hdetr_d2.losses import FederatedLoss, FocalLoss, IoUAwareLoss

# Align-DETR's, for matching with one query a target.
iou_aware = L(IoUAwareLoss)(mix=0.25, beta=2.0, alpha=0.25, gamma=2.0)

# For LVIS; 50 classes and the square root are what its authors use.
federated = L(FederatedLoss)(
    loss=L(FocalLoss)(alpha=0.25, gamma=2.0),
    image_counts="${data.image_counts}",
    num_kept=50,
    power=0.5,
)
