"""COCO 2017 at up to 1280 x 2048 pixels, for models that have seen other data before."""

from .coco import data, dataloader

dataloader.train.mapper.augmentations[1].update(sides=[*range(480, 1281, 32)], max_size=2048)
dataloader.test.mapper.augmentations[0].update(sides=[1280], max_size=2048)
