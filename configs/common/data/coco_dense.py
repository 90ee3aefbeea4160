"""COCO 2017 with mosaics, mixup and copy-blend."""

from detectron2.config import LazyCall as L
from torchvision.transforms import v2

from hdetr_d2.data import RandomShortSide

from ..dense_one_to_one import copy_blend, mix_up, mosaic
from .coco import data, dataloader

__all__ = ["data", "dataloader"]

# Mosaics are not cropped, as in DEIM.
mosaic.augmentations = [
    L(v2.RandomHorizontalFlip)(p=0.5),
    L(RandomShortSide)(
        sides="${dataloader.train.mapper.augmentations[1].sides}",
        max_size="${dataloader.train.mapper.augmentations[1].max_size}",
        rule="${data.resize}",
    ),
]
dataloader.train.mapper.update(mosaic=mosaic, blends=[mix_up, copy_blend])
