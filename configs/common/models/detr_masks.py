"""DETR with its mask head (https://arxiv.org/abs/2005.12872, section 4.4)."""

from ..masks import masks
from .detr import model

model.backbone.out_features = ["res2", "res3", "res4", "res5"]
model.neck.in_features = ["res5"]
model.update(masks)
