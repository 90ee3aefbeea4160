"""Deformable-DETR++ with DETR's mask head (https://arxiv.org/abs/2005.12872, section 4.4)."""

from ..masks import masks
from .deformable_detr_pp import model

model.backbone.out_features = ["res2", "res3", "res4", "res5"]
model.neck.in_features = ["res3", "res4", "res5"]
model.update(masks)
model.mask_head.level = 2  # that of res5; the next one has half the resolution
