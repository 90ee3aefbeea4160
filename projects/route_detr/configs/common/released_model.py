"""The detector of the released code, which it calls Deformable-DETR++: two-stage, with box
refinement, and neither mixed query selection nor a look forward twice.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.projects.route_detr.query_selection import SeparateQueries

from .....configs.common.models.deformable_detr_two_stage import model
from .routing import released_code

model.preprocessing.size_divisibility = 32
model.backbone.name = "resnet50.tv2_in1k"
model.neck.bias = False
model.encoder.sizes.update(dropout=0.0, feedforward_dim=2048)
model.query_selection = L(SeparateQueries)(
    num_queries=300,
    dim="${model.neck.out_channels}",
    heads=model.query_selection.heads,
)
model.decoder.eps = 1e-3
model.criterion.weights["class"] = 1.0
model.postprocessing.num_select = 300
model.schemes = [released_code]
