"""A small Deformable-DETR++ on your own data in COCO's format, from random weights: for a CPU, and
for images that photographs teach nothing about.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/custom/deformable_detr_coco_json_small.py
           data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none; the same from ImageNet's weights is deformable_detr_coco_json_offline.py
Smoke run: add train.max_iter=20
"""

from ..common.backbones import resnet10_from_scratch
from ..common.schemes import one_to_one
from .deformable_detr_coco_json_offline import (
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)

model.merge_with(resnet10_from_scratch)
model.schemes = [one_to_one]  # from random weights a branch pays off late
optimizer.lr = 5e-4
optimizer.params.rules = []  # nothing is pretrained, so everything has the same rate
