"""DETR R50, 500 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_r50_500ep.py
Hours:     120 on 16 V100 (3 days for 300 epochs in the paper)
Published: AP 42.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .detr_r50_300ep import data, dataloader, lr_multiplier, model, optimizer, train

train.output_dir = "output/detr_r50_500ep"
train.epochs = 500
lr_multiplier.milestones = [400]
