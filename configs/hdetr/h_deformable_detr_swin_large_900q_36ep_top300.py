"""H-Deformable-DETR Swin-L with 900 queries, 36 epochs, top 300.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/hdetr/h_deformable_detr_swin_large_900q_36ep_top300.py
Hours:     not measured
Published: AP 57.6 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_swin_large_900q_36ep import model

model.postprocessing.num_select = 300

train.output_dir = "output/h_deformable_detr_swin_large_900q_36ep_top300"
train.epochs = 36
lr_multiplier.milestones = [30]
