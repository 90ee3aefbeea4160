"""Deformable-DETR++ R50 with the routed branch as the authors' code has it, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
--config-file projects/route_detr/configs/route_released_code_deformable_detr_pp_r50_12ep.py
Hours:     not measured
Published: none for this base
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.deformable_detr_pp import model
from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import released_code

model.schemes = [released_code]

train.output_dir = "output/route_released_code_deformable_detr_pp_r50_12ep"
