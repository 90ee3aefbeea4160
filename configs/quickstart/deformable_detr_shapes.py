"""A small two-stage Deformable-DETR that learns the generated "shapes" data set from scratch,
without a GPU.

Paper:     Deformable DETR, https://arxiv.org/abs/2010.04159
Command:   make demo
Minutes:   about 5 on two CPU cores
Published: none; docs/QUICKSTART.md tells what to expect
"""

from ..common.data.shapes import data, dataloader
from ..common.models.deformable_detr_pp import model
from ..common.optim import optimizer
from ..common.schedule import cosine_multiplier as lr_multiplier
from ..common.train import train

# A backbone from scratch: GroupNorm, because batch statistics of a few small images are noise.
model.backbone.update(name="resnet10t", pretrained=False, frozen=0, norm="gn")
model.neck.update(in_shapes=[128, 256, 512], out_channels=128, num_levels=3)
model.encoder.sizes.update(num_heads=4, feedforward_dim=256)
model.encoder.num_layers = 1
model.decoder.num_layers = 2
model.query_selection.num_queries = 40

dataloader.train.update(total_batch_size=4, num_workers=1)  # many small steps: time is short
optimizer.lr = 5e-4
optimizer.params.rules = []  # nothing is pretrained, so everything learns at one rate
lr_multiplier.warmup_epochs = 0.5
train.update(output_dir="output/quickstart", epochs=6, clip_grad_norm=1.0, eval_period_epochs=2)
train.checkpoint.period_epochs = 2
