"""The comparison of the training schemes with the routed branch, small enough for a CPU.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python tools/compare_schemes.py output/compare_routing
           --config-file projects/route_detr/configs/compare_schemes_shapes.py
           --schemes one_to_one routed routed_released_code
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
from .common.routing import paper, released_code

# Six epochs: the warm-up is half as long as in a training of twelve.
for routing in (paper, released_code):
    for schedule in (routing.strength, routing.weight):
        schedule.update(after=schedule.after / 2, over=schedule.over / 2)
contenders.update(routed=[paper], routed_released_code=[released_code])
train.output_dir = "output/compare_routing"
