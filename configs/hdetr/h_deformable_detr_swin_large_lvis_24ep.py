"""H-Deformable-DETR Swin-L on LVIS v1, 24 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_large_lvis_24ep.py
--num-gpus 8
Hours:     not measured
Published: none (the paper: 0.8 to 1.0 AP over its baseline)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable_lvis import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_swin_large_12ep import model

model.postprocessing.num_select = 300  # of which LVIS counts all

train.output_dir = "output/h_deformable_detr_swin_large_lvis_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
