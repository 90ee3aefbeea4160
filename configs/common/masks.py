"""Instance masks for any model: `model.update(masks)` and a backbone with the required features,
see `models/deformable_detr_pp_masks.py`.

The sizes are those of DETR with ResNet-50 (https://arxiv.org/abs/2005.12872, section 4.4).
"""

from detectron2.config import LazyCall as L

from hdetr_d2.losses import MaskLoss
from hdetr_d2.modeling import MaskHead, PanopticMerger

masks = dict(
    mask_head=L(MaskHead)(
        dim="${model.neck.out_channels}",
        num_heads=8,
        in_shapes=[1024, 512, 256],
        in_features=["res4", "res3", "res2"],
        loss=L(MaskLoss)(weights={"mask": 1.0, "dice": 1.0}, alpha=0.25, gamma=2.0),
        level=-1,
    )
)
# Trains only the mask head, from a box checkpoint in `train.init_checkpoint`: `model.update(...)`
masks_only = dict(freeze=[r"^(?!mask_head\.)"])
# One segment per pixel: a panoptic data set, its classes and its metric.
panoptic = dict(panoptic=L(PanopticMerger)(thing_classes="${data.thing_classes}", threshold=0.85))
