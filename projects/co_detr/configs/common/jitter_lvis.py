"""Large-scale jitter with copy-paste on LVIS."""

from .....configs.common.data.lvis import data, dataloader
from .jitter import dataloader as _jitter

data.keep_empty = True
dataloader.train = _jitter.train
dataloader.test = _jitter.test
