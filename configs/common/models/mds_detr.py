"""MDS-DETR (https://arxiv.org/abs/2605.23507), R50: two-stage Deformable-DETR whose decoder layers
learn one-to-many, followed by a layer in which queries attend only to more confident ones, at
inference too.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import CrossFirst, SuppressingDecoder

from ..losses import varifocal
from ..schemes import one_to_many_layers
from .deformable_detr_two_stage import model

model.encoder.sizes.update(dropout=0.0, feedforward_dim=2048)
model.query_selection.num_queries = 900
model.decoder = L(SuppressingDecoder)(
    sizes="${model.encoder.sizes}",
    num_layers=5,
    heads=model.decoder.heads,
    num_tokens=10,
    order=L(CrossFirst)(),
    checkpointing=False,
)
model.criterion.class_loss = varifocal
model.criterion.weights["class"] = 1.0
model.schemes = [one_to_many_layers]
model.postprocessing.num_select = 300
