"""A run of Co-Deformable-DETR on COCO, 12 epochs: all but the model."""

from ......configs.common.schedule import lr_multiplier
from ......configs.common.train import train
from ..coco import data, dataloader
from ..optim import co_deformable_optimizer as optimizer
