"""Deformable-DETR R50, single-stage, 50 epochs.

Paper:     Deformable DETR, https://arxiv.org/abs/2010.04159
Command:   python train_net.py --config-file configs/deformable_detr/deformable_detr_r50_50ep.py
--num-gpus 8
Hours:     about 40 on 8 V100 (the paper's 325 GPU hours)
Published: AP 44.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/deformable_detr_r50_50ep"
train.epochs = 50
lr_multiplier.milestones = [40]
