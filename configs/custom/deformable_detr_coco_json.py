"""Deformable-DETR++ on your own data in COCO's format, from ImageNet weights.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/custom/deformable_detr_coco_json.py
           data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none; classes and their number come from the json
Smoke run: add train.max_iter=20
"""

from ..common.data.coco_json import data, dataloader
from ..common.models.deformable_detr_pp import model
from ..common.optim import optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

train.update(output_dir="output/custom", epochs=50)
lr_multiplier.milestones = [40]
