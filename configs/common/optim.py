"""AdamW as used by the Deformable-DETR family and DETR; rules set other rates for some
parameters.
"""

from copy import deepcopy

from detectron2.config import LazyCall as L
from torch.optim import AdamW

from hdetr_d2.engine.optim import param_groups

optimizer = L(AdamW)(
    # The model is passed when the optimizer is built. Weight decay also applies to norms and
    # biases.
    params=L(param_groups)(
        lr="${..lr}",
        weight_decay="${..weight_decay}",
        rules=[
            dict(pattern=r"^backbone\.", lr_scale=0.1),
            dict(pattern=r"reference_points|sampling_offsets", lr_scale=0.1),
        ],
    ),
    lr=2e-4,
    weight_decay=1e-4,
    betas=(0.9, 0.999),
    fused=True,  # also allows a CUDA step to skip a bad update without waiting for the device
)

# DETR and DINO: only the backbone has another rate.
detr_optimizer = deepcopy(optimizer)
detr_optimizer.lr = 1e-4
detr_optimizer.params.rules = [dict(pattern=r"^backbone\.", lr_scale=0.1)]
