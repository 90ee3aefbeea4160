"""DETR R50, 300 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_r50_300ep.py
Hours:     72 on 16 V100 (in the paper)
Published: none; 500 epochs add 1.5 AP in the paper
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.detr import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

dataloader.train.total_batch_size = 64

train.output_dir = "output/detr_r50_300ep"
train.epochs = 300
lr_multiplier.milestones = [200]
