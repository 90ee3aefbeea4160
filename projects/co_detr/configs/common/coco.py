"""COCO 2017 with DETR's augmentation, and with the images that have no objects."""

from .....configs.common.data.coco import data, dataloader

data.keep_empty = True
