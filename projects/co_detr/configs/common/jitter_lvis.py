"""Large-scale jitter with copy-paste on LVIS."""

from .....configs.common.data.lvis import data, dataloader
from .jitter import dataloader as jitter

data.keep_empty = True
dataloader.train = jitter.train
dataloader.test = jitter.test
