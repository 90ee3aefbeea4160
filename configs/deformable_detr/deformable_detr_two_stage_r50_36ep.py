"""Two-stage Deformable-DETR R50, 36 epochs.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/deformable_detr/deformable_detr_two_stage_r50_36ep.py
Hours:     not measured
Published: AP 46.8 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .deformable_detr_two_stage_r50_12ep import model

train.output_dir = "output/deformable_detr_two_stage_r50_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
