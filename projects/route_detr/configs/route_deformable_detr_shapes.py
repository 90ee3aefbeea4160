"""The small detector of `make demo` with the routed branch, on the generated "shapes" data set.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   make demo CONFIG=projects/route_detr/configs/route_deformable_detr_shapes.py
Minutes:   about 7 on two CPU cores
Published: none
"""

from ....configs.quickstart.deformable_detr_shapes import (
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)
from .common.routing import paper

paper.weight.update(after=0.5, over=2)
model.schemes = [paper]
model.freeze = []  # there is time
optimizer.lr = 1.5e-3
train.update(output_dir="output/quickstart_routed", epochs=6)
