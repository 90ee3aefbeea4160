"""H-Deformable-DETR Swin-L, 36 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_large_36ep.py
--num-gpus 8
Hours:     not measured
Published: AP 57.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_swin_large_12ep import model

model.backbone.drop_path_rate = 0.5

train.output_dir = "output/h_deformable_detr_swin_large_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
