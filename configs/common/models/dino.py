"""DINO (https://arxiv.org/abs/2203.03605), 4-scale, R50: Deformable-DETR++ with class-specific
proposals, positional queries computed from the references in every decoder layer, and denoising.
"""

from detectron2.config import LazyCall as L
from torch import nn

from hdetr_d2.layers import ReferencePosition
from hdetr_d2.modeling import DINOQueries

from ..schemes import contrastive_denoising
from .deformable_detr_pp import model

model.encoder.position.update(temperature=20.0, offset=0.0)
model.query_selection = L(DINOQueries)(
    num_queries=900,
    dim="${model.neck.out_channels}",
    heads=model.query_selection.heads,
)
model.decoder.update(
    position=L(ReferencePosition)(dim="${model.neck.out_channels}"),
    norm=L(nn.LayerNorm)(normalized_shape="${model.neck.out_channels}"),
    eps=1e-3,
)
model.decoder.heads.shared = True
model.criterion.weights["class"] = 1.0
contrastive_denoising.box_noise.scale = 1.0  # as in the training commands of its authors
model.schemes = [contrastive_denoising]
model.postprocessing.num_select = 300
