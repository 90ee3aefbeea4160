"""DINO 4-scale R50 whose encoder learns from DINOv3's features, as RT-DETRv4's does, 12 epochs.

Paper:     RT-DETRv4, https://arxiv.org/abs/2510.25257, with DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --config-file configs/dino/dino_features_r50_4scale_12ep.py
           --num-gpus 8
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.dino import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import feature_distillation

# The level of stride 32.
feature_distillation.level = 2
model.schemes = [feature_distillation, *model.schemes]

train.output_dir = "output/dino_features_r50_4scale_12ep"
