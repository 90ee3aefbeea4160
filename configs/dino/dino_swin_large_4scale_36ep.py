"""DINO 4-scale Swin-L, 36 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --num-gpus 8
           --config-file configs/dino/dino_swin_large_4scale_36ep.py
Hours:     not measured
Published: AP 58.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from .dino_swin_large_4scale_12ep import model

train.output_dir = "output/dino_swin_large_4scale_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
