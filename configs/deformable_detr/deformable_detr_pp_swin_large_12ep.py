"""Deformable-DETR++ Swin-L, 12 epochs.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/deformable_detr/deformable_detr_pp_swin_large_12ep.py
Hours:     not measured
Published: AP 54.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_large
from ..common.models.deformable_detr_pp import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

model.merge_with(swin_large)

train.output_dir = "output/deformable_detr_pp_swin_large_12ep"
