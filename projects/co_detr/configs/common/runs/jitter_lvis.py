"""The same on LVIS."""

from ..jitter_lvis import data, dataloader
from .dino import lr_multiplier, optimizer, train
