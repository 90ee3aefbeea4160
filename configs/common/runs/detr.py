"""A run of DETR or DINO on COCO: all but the model."""

from ..optim import detr_optimizer as optimizer
from .deformable import data, dataloader, lr_multiplier, train
