"""The comparison of the training schemes with collaborating heads, small enough for a CPU.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python tools/compare_schemes.py output/compare_heads
           --config-file projects/co_detr/configs/compare_schemes_shapes.py
           --schemes one_to_one atss atss_faster_rcnn
Published: none
"""

from copy import deepcopy

from ....configs.quickstart.compare_schemes_shapes import (
    contenders,
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)
from .common.collaborators import co_heads as _two

# Maps from stride 4 on, three decoder layers; and a smaller second stage, for its time.
_two.strides = [4, 8, 16, 32]
_two.max_queries = 100
_two.collaborators.atss.head.weight = 6.0
_two.collaborators.faster_rcnn.head.weight = 6.0
_two.collaborators.faster_rcnn.head.roi_head.update(hidden_dim=128, num_samples=64)
_two.collaborators.faster_rcnn.head.rpn.train.update(per_level=200, most=100)
_two.collaborators.faster_rcnn.head.rpn.test.most = 100
_one = deepcopy(_two)
del _one.collaborators.faster_rcnn
contenders.update(atss=[_one], atss_faster_rcnn=[_two])
train.output_dir = "output/compare_heads"
