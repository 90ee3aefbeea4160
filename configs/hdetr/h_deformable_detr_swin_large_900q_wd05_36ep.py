"""H-Deformable-DETR Swin-L with 900 queries, 36 epochs, weight decay 0.05.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/hdetr/h_deformable_detr_swin_large_900q_wd05_36ep.py
Hours:     not measured
Published: AP 57.8 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_swin_large_900q_36ep import model

optimizer.weight_decay = 0.05

train.output_dir = "output/h_deformable_detr_swin_large_900q_wd05_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
