"""H-Deformable-DETR R50 on LVIS v1, 24 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_r50_lvis_24ep.py
--num-gpus 8
Hours:     not measured
Published: none (the paper: 0.8 to 1.0 AP over its baseline)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.h_deformable_detr import model
from ..common.runs.deformable_lvis import data, dataloader, lr_multiplier, optimizer, train

model.postprocessing.num_select = 300  # of which LVIS counts all

train.output_dir = "output/h_deformable_detr_r50_lvis_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
