"""Route-DETR on Deformable-DETR++ R50 with DETR's mask head, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_deformable_detr_pp_masks_r50_12ep.py
Hours:     not measured
Published: AP 33.8 (of masks, COCO val2017)
Smoke run: any data set with masks and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.deformable_detr_pp_masks import model
from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import paper

dataloader.train.mapper.with_masks = True
model.schemes = [paper]

train.output_dir = "output/route_deformable_detr_pp_masks_r50_12ep"
