"""A run of Co-DINO on COCO, 12 epochs: all but the model."""

from ..optim import co_dino_optimizer as optimizer
from .deformable import data, dataloader, lr_multiplier, train
