"""DINO 4-scale R50, 36 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --config-file configs/dino/dino_r50_4scale_36ep.py --num-gpus 8
Hours:     not measured
Published: AP 50.9 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.dino import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/dino_r50_4scale_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
