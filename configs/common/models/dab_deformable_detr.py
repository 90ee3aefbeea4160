"""Deformable-DETR with learned anchor boxes (DAB-DETR, https://arxiv.org/abs/2201.12329): the
positional query is computed from the box in every layer.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.layers import ReferencePosition
from hdetr_d2.modeling import LearnedAnchors

from .deformable_detr_refine import model

model.query_selection = L(LearnedAnchors)(num_queries=300, dim="${model.neck.out_channels}")
model.decoder.position = L(ReferencePosition)(dim="${model.neck.out_channels}")
model.decoder.heads.size_bias = 0.0  # anchors have a size
