"""H-Deformable-DETR on your own data in COCO's format, from ImageNet weights.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/custom/h_deformable_detr_coco_json.py
           data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none; classes and their number come from the json
Smoke run: add train.max_iter=20
"""

from ..common.schemes import hybrid_branch
from .deformable_detr_coco_json import data, dataloader, lr_multiplier, model, optimizer, train

model.schemes = [hybrid_branch]
