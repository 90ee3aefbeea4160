"""Route-DETR R50 as its authors' code trains it, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_released_deformable_detr_r50_12ep.py
Hours:     not measured
Published: none for this detector; the paper's table has another base
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

A checkpoint of that code is converted with `--source route-detr`.
"""

from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .common.released_model import model

optimizer.lr = 1e-4
optimizer.params.rules = [
    dict(pattern=r"^backbone\.", lr_scale=0.1),
    dict(pattern=r"sampling_offsets\.bias", lr_scale=0.1, weight_decay=0.0),
    dict(pattern=r"sampling_offsets", lr_scale=0.1),
    dict(pattern=r"position_norm\.weight"),
    dict(pattern=r"norm|bias", weight_decay=0.0),
]
lr_multiplier.update(milestones=[10], warmup_epochs=0.135)
train.output_dir = "output/route_released_deformable_detr_r50_12ep"
