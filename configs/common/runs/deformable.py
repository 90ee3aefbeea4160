"""A run of the Deformable-DETR family on COCO, 12 epochs: all but the model."""

from ..data.coco import data, dataloader
from ..optim import optimizer
from ..schedule import lr_multiplier
from ..train import train
