"""Deformable-DETR++ R50, 12 epochs.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/deformable_detr/deformable_detr_pp_r50_12ep.py
--num-gpus 8
Hours:     13 (65 minutes an epoch in the paper)
Published: AP 47.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_pp import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/deformable_detr_pp_r50_12ep"
