"""COCO 2017 with large-scale jitter: scaled by 0.1 to 2.0, cropped or padded to a square."""

from detectron2.config import LazyCall as L
from torchvision.transforms import v2

from hdetr_d2.data import LargeScaleJitter

from .coco import data, dataloader

__all__ = ["data", "dataloader"]

dataloader.train.mapper.augmentations = [
    L(v2.RandomHorizontalFlip)(p=0.5),
    L(LargeScaleJitter)(size=1024, scale=[0.1, 2.0], rule="${data.resize}"),
]
# Every image is a square now.
dataloader.train.aspect_grouping = False
dataloader.test.mapper.augmentations[0].update(sides=[1024], max_size=1024)
