"""Co-Deformable-DETR (https://arxiv.org/abs/2211.12860), R50: Deformable-DETR++ with two heads
beside the decoder.
"""

from .....configs.common.models.deformable_detr_pp import model
from .collaborators import co_heads as _co_heads

model.neck.bias = False
model.schemes = [_co_heads]
