"""Deformable-DETR R50 with iterative box refinement, 50 epochs.

Paper:     Deformable DETR, https://arxiv.org/abs/2010.04159
Command:   python train_net.py --num-gpus 8
           --config-file configs/deformable_detr/deformable_detr_refine_r50_50ep.py
Hours:     not measured
Published: AP 46.2 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_refine import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/deformable_detr_refine_r50_50ep"
train.epochs = 50
lr_multiplier.milestones = [40]
