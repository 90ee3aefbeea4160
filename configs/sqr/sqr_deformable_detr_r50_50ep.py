"""Deformable-DETR R50, single-stage, with selective query recollection, 50 epochs.

Paper:     SQR, https://arxiv.org/abs/2212.07593
Command:   python train_net.py --config-file configs/sqr/sqr_deformable_detr_r50_50ep.py
--num-gpus 8
Hours:     not measured
Published: AP 45.8 (COCO val2017; 44.5 without)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import query_recollection

model.schemes = [query_recollection]

train.output_dir = "output/sqr_deformable_detr_r50_50ep"
train.epochs = 50
lr_multiplier.milestones = [40]
