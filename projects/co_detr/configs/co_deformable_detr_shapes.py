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
from .common.collaborators import co_heads as _co_heads

# Maps from stride 4 on, two decoder layers.
_co_heads.strides = [4, 8, 16, 32]
_co_heads.max_queries = 100
_co_heads.collaborators.atss.head.weight = 4.0
del _co_heads.collaborators.faster_rcnn
model.schemes = [_co_heads]
train.output_dir = "output/quickstart_co"
