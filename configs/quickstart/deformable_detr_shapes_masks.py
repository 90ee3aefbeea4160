"""Boxes and masks of the generated "shapes" data set, learned together, without a GPU.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4, on Deformable DETR
Command:   python train_net.py --config-file configs/quickstart/deformable_detr_shapes_masks.py
Minutes:   about 10 on two quiet CPU cores
Published: none; docs/MASKS.md tells what to expect
"""

from ..common.masks import masks
from .deformable_detr_shapes import data, dataloader, lr_multiplier, model, optimizer, train

model.update(masks)
# The objects are small: the masks have stride 4.
model.mask_head.update(num_heads=4, level=2, in_shapes=[40, 24], in_features=["res3", "res2"])
dataloader.train.mapper.with_masks = True
model.freeze = []  # there is time
optimizer.lr = 1.5e-3
train.update(output_dir="output/quickstart_masks", epochs=6)
