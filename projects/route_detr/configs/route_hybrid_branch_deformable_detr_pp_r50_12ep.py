"""Route-DETR beside the hybrid branch, Deformable-DETR++ R50, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876, with H-DETR,
           https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
--config-file projects/route_detr/configs/route_hybrid_branch_deformable_detr_pp_r50_12ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.deformable_detr_pp import model
from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ....configs.common.schemes import hybrid_branch
from .common.routing import paper

model.schemes = [hybrid_branch, paper]

train.output_dir = "output/route_hybrid_branch_deformable_detr_pp_r50_12ep"
