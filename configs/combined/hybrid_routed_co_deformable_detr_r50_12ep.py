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
from ..common.data.coco import data, dataloader
from ..common.optim import optimizer
from ..common.schedule import lr_multiplier
from ..common.schemes import hybrid_branch as _hybrid
from ..common.train import train

model.schemes = [_hybrid, _routed, *model.schemes]

train.output_dir = "output/hybrid_routed_co_deformable_detr_r50_12ep"
train.epochs = 12
lr_multiplier.milestones = [11]
