"""The small recipe with mosaics and blends, which begin with the second step and end with the
second epoch's third.
"""

from ...configs.common.dense_one_to_one import copy_blend, mix_up, mosaic
from .small_recipe import data, dataloader, lr_multiplier, model, optimizer, train

__all__ = ["data", "dataloader", "lr_multiplier", "model", "optimizer", "train"]

mosaic.side = 32
for each in (mosaic, mix_up, copy_blend):
    each.when.update(start=1 / 8, end=7 / 8)
dataloader.train.mapper.update(mosaic=mosaic, blends=[mix_up, copy_blend])
