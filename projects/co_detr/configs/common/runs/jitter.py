"""A run of Co-DINO with large-scale jitter on COCO: all but the model, of `co_dino_jitter.py`."""

from ..jitter import data, dataloader
from .dino import lr_multiplier, optimizer, train
