"""A run of the Deformable-DETR family on LVIS v1: all but the model."""

from ..data.lvis import data, dataloader
from .deformable import lr_multiplier, optimizer, train
