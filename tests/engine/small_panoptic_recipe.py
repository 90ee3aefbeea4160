"""A panoptic recipe as one of a user's, small enough to be trained in a test."""

from ...configs.common.data.coco_panoptic import data, dataloader
from ...configs.common.masks import panoptic
from ...configs.quickstart.deformable_detr_shapes_masks import (
    lr_multiplier,
    model,
    optimizer,
    train,
)

__all__ = ["data", "dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.postprocessing.update(panoptic)
model.postprocessing.panoptic.threshold = 0.0
data.update(train_name="small_panoptic", val_name="small_panoptic")
dataloader.train.mapper.augmentations = []
dataloader.test.mapper.augmentations = []
dataloader.train.update(total_batch_size=2, num_workers=0)
dataloader.test.num_workers = 0
train.update(device="cpu", max_iter=2)
train.checkpoint.best_metric = "panoptic_seg/PQ"
