"""The comparison of the training schemes with collaborating heads, small enough for a CPU.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python tools/compare_schemes.py output/compare_heads
           --config-file projects/co_detr/configs/compare_schemes_shapes.py
           --schemes one_to_one atss atss_faster_rcnn
Published: none
"""

from ....configs.quickstart.compare_schemes_shapes import (
    contenders,
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)
from .common.small_collaborators import one_head, two_heads

contenders.update(atss=[one_head], atss_faster_rcnn=[two_heads])
train.output_dir = "output/compare_heads"
