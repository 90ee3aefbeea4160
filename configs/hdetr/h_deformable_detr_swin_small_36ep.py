"""H-Deformable-DETR Swin-S, 36 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_small_36ep.py
--num-gpus 8
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_small
from ..common.data.coco import data, dataloader
from ..common.models.h_deformable_detr import model
from ..common.optim import optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

model.merge_with(swin_small)

train.output_dir = "output/h_deformable_detr_swin_small_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
