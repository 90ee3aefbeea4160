"""DINO 5-scale R50, 12 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --config-file configs/dino/dino_r50_5scale_12ep.py --num-gpus 8
Hours:     not measured
Published: AP 49.4 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.dino_5scale import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/dino_r50_5scale_12ep"
