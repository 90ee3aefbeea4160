"""Deformable-DETR++ with R50 and DETR's mask head, boxes and masks together for 12 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4; Deformable-DETR++,
           https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/deformable_detr/deformable_detr_pp_masks_r50_12ep.py
Published: none
Smoke run: any data set with masks and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_pp_masks import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

dataloader.train.mapper.with_masks = True
train.output_dir = "output/deformable_detr_pp_masks_r50_12ep"
