"""Align-DETR 4-scale R50, 12 epochs: DINO with two queries a target in all layers but the last.

Paper:     Align-DETR, https://arxiv.org/abs/2304.07527
Command:   python train_net.py --num-gpus 8
           --config-file configs/align_detr/align_detr_r50_4scale_12ep.py
Hours:     not measured
Published: AP 50.3 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.losses import iou_aware
from ..common.models.dino import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import align_detr

model.criterion.class_loss = iou_aware
model.schemes = [align_detr, *model.schemes]

train.output_dir = "output/align_detr_r50_4scale_12ep"
