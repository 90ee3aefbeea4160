"""DETR R50-DC5, 500 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_dc5_r50_500ep.py
Hours:     not measured
Published: AP 43.3 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .detr_dc5_r50_300ep import data, dataloader, lr_multiplier, model, optimizer, train

train.output_dir = "output/detr_dc5_r50_500ep"
train.epochs = 500
lr_multiplier.milestones = [400]
