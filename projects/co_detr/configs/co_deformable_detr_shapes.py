"""The small detector of `make demo` with a collaborating head, on the generated "shapes" data set.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   make demo CONFIG=projects/co_detr/configs/co_deformable_detr_shapes.py
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
from .common.small_collaborators import one_head

model.schemes = [one_head]
model.freeze = []  # there is time
optimizer.lr = 1.5e-3
train.update(output_dir="output/quickstart_co", epochs=6)
