"""DETR R50-DC5, 300 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_dc5_r50_300ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.detr import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

model.backbone.output_stride = 16
dataloader.train.total_batch_size = 64

train.output_dir = "output/detr_dc5_r50_300ep"
train.epochs = 300
lr_multiplier.milestones = [200]
