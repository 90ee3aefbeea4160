"""A Deformable-DETR++ (H-DETR, https://arxiv.org/abs/2207.13080) that two CPU cores train in
minutes: small, initialised from ImageNet weights of a package, and with the IoU-aware class loss of
Align-DETR (https://arxiv.org/abs/2304.07527), which learns classes, and one box per object, sooner.
"""

from hdetr_d2.modeling import CoarseEncoder

from ..backbones import efficientnet_lite0_offline
from ..losses import iou_aware
from .deformable_detr_pp import model

model.merge_with(efficientnet_lite0_offline)
model.neck.update(out_channels=128, num_levels=4)  # without stride 64
model.encoder.sizes.update(num_heads=4, feedforward_dim=256)
# If objects say little about each other, a third decoder layer is worth more than an encoder. If
# there is an encoder, it skips the map of stride 4, which has three of four tokens.
model.encoder.update(_target_=CoarseEncoder, passed=1, num_layers=0)
model.decoder.num_layers = 3
model.criterion.class_loss = iou_aware
