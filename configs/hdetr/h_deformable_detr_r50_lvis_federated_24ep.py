"""H-Deformable-DETR R50 on LVIS v1, with the federated loss, 24 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/hdetr/h_deformable_detr_r50_lvis_federated_24ep.py
Hours:     not measured
Published: none (the paper: 0.8 to 1.0 AP over its baseline)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.losses import federated
from ..common.runs.deformable_lvis import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_r50_lvis_24ep import model

model.criterion.class_loss = federated

train.output_dir = "output/h_deformable_detr_r50_lvis_federated_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
