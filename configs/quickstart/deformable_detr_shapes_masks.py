"""Boxes and masks of the generated "shapes" data set, learned together from scratch, without a GPU.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4, on Deformable DETR
Command:   python train_net.py --config-file configs/quickstart/deformable_detr_shapes_masks.py
Minutes:   about 10 on two quiet CPU cores
Published: none; docs/MASKS.md tells what to expect
"""

from ..common.masks import masks
from .deformable_detr_shapes import data, dataloader, lr_multiplier, model, optimizer, train

model.backbone.out_features = ["res2", "res3", "res4", "res5"]
model.neck.in_features = ["res3", "res4", "res5"]
model.update(masks)
# The objects are small: the maps are those of stride 16, and the masks end at stride 4.
model.mask_head.update(num_heads=4, level=1, in_shapes=[128, 64], in_features=["res3", "res2"])
dataloader.train.mapper.with_masks = True
train.output_dir = "output/quickstart_masks"
