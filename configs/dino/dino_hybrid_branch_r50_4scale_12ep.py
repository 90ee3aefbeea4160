"""DINO 4-scale R50 with the hybrid branch, 12 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605, with H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/dino/dino_hybrid_branch_r50_4scale_12ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.dino import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import hybrid_branch

# The proposals behind the 900 main ones; denoising sees the main queries only.
model.schemes = [hybrid_branch, *model.schemes]

train.output_dir = "output/dino_hybrid_branch_r50_4scale_12ep"
