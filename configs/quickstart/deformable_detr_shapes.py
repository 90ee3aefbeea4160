"""A small two-stage Deformable-DETR that learns the generated "shapes" data set from scratch, without a GPU.

Paper:   Deformable DETR, https://arxiv.org/abs/2010.04159
Command: make demo, or python train_net.py --config-file configs/quickstart/deformable_detr_shapes.py
Expect:  a few minutes on two CPU cores.
"""

from ..common.data.shapes import data, dataloader
from ..common.models.deformable_detr_pp import model
from ..common.optim import optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

# A backbone from scratch: GroupNorm, because batch statistics of a few small images are noise.
model.backbone.update(name="resnet10t", pretrained=False, frozen=0, norm="gn", out_features=["res3", "res4", "res5"])
model.neck.update(in_shapes=[128, 256, 512], out_channels=128, num_levels=3)
model.encoder.update(num_heads=4, num_layers=1, feedforward_dim=256)
model.decoder.num_layers = 3
model.query_selection.num_queries = 40
