"""Co-DINO (https://arxiv.org/abs/2211.12860), five levels, R50: DINO whose scores tell how well a
box fits, with two heads beside the decoder.

Unlike in DINO every layer has heads of its own, and at inference detections lower the scores of
those they hide. `model.schemes` has the denoising first.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.losses import QualityFocalLoss
from hdetr_d2.modeling import SoftNMSPairs
from hdetr_d2.projects.co_detr import BoxQueries

from .....configs.common.models.dino_5scale import model
from .collaborators import co_heads as _co_heads

model.neck.bias = False
model.decoder.heads.shared = False
model.criterion.class_loss = L(QualityFocalLoss)(beta=2.0, alpha=0.25, gamma=2.0)
model.postprocessing.pick = L(SoftNMSPairs)(iou_threshold=0.8, min_score=1e-3)

_co_heads.strides = [4, 8, 16, 32, 64]
_co_heads.collaborators.atss.head.num_levels = 6
for _collaborator in (_co_heads.collaborators.faster_rcnn, _co_heads.collaborators.atss):
    _collaborator.queries = L(BoxQueries)(dim="${model.neck.out_channels}")
model.schemes = [*model.schemes, _co_heads]
