"""DETR R50 with masks: the mask head of a trained box model, which is frozen, 25 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_masks_r50_25ep.py
           train.init_checkpoint=CHECKPOINT, that of configs/detr/detr_r50_500ep.py
Hours:     not measured
Published: none
Smoke run: any data set with masks and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.masks import masks_only
from ..common.models.detr_masks import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

model.update(masks_only)
dataloader.train.mapper.with_masks = True

train.output_dir = "output/detr_masks_r50_25ep"
train.epochs = 25
lr_multiplier.milestones = [15]
