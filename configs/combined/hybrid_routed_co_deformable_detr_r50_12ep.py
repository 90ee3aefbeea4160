"""Deformable-DETR++ R50 with the hybrid branch, routed self-attention and collaborating heads, 12
epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080; Route-DETR, https://arxiv.org/abs/2512.13876;
           Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file configs/combined/hybrid_routed_co_deformable_detr_r50_12ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ...projects.co_detr.configs.common.co_deformable_detr import model
from ...projects.route_detr.configs.common.routing import paper as _routed
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import hybrid_branch as _hybrid

model.schemes = [_hybrid, _routed, *model.schemes]

train.output_dir = "output/hybrid_routed_co_deformable_detr_r50_12ep"
