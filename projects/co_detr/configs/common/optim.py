"""AdamW of Co-DETR's recipes: that of DETR at twice its rate, and a rate that falls from layer to
layer of a plain transformer.
"""

from copy import deepcopy

from .....configs.common.optim import detr_optimizer as co_dino_optimizer
from .....configs.common.optim import optimizer as co_deformable_optimizer

co_dino_optimizer.lr = 2e-4

vit_optimizer = deepcopy(co_dino_optimizer)
vit_optimizer.update(lr=5e-5, weight_decay=0.01)
vit_optimizer.params.rules = [
    dict(pattern=r"^backbone\.net\.blocks\.(\d+)\.", layer_decay=0.8),
    dict(pattern=r"^backbone\.net\.", lr_scale=0.8**25),  # patches and positions, below 24 blocks
]
