"""H-Deformable-DETR Swin-T, 12 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_tiny_12ep.py
--num-gpus 8
Hours:     not measured
Published: AP 50.6 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_tiny
from ..common.models.h_deformable_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

model.merge_with(swin_tiny)

train.output_dir = "output/h_deformable_detr_swin_tiny_12ep"
