"""H-Deformable-DETR R50, 24 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_r50_24ep.py
--num-gpus 8
Hours:     about 28 (7% over the baseline's 65 minutes an epoch in the paper)
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.h_deformable_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/h_deformable_detr_r50_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
