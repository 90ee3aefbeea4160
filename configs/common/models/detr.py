"""DETR (https://arxiv.org/abs/2005.12872), R50. Sizes are set in the neck and the encoder."""

from detectron2.config import LazyCall as L

from hdetr_d2.layers import SinePositionEncoding
from hdetr_d2.losses import SoftmaxLoss
from hdetr_d2.modeling import (
    BestClasses,
    DenseDecoder,
    DenseEncoder,
    DenseLayerSizes,
    LearnedPositions,
)

from .deformable_detr import model

model.backbone.out_features = ["res5"]
model.neck.update(in_shapes=[2048], num_levels=1, norm_groups=None)
model.encoder = L(DenseEncoder)(
    sizes=L(DenseLayerSizes)(
        dim="${model.neck.out_channels}",
        num_heads=8,
        feedforward_dim=2048,
        dropout=0.1,
        pre_norm=False,
        checkpointing=False,
    ),
    num_layers=6,
    position=L(SinePositionEncoding)(dim="${model.neck.out_channels}", offset=0.0),
    checkpointing=False,
)
model.query_selection = L(LearnedPositions)(num_queries=100, dim="${model.neck.out_channels}")
model.decoder = L(DenseDecoder)(
    sizes="${model.encoder.sizes}",
    num_layers=6,
    heads=model.decoder.heads,
    checkpointing=False,
)
model.decoder.heads.update(at_reference=False, size_bias=0.0)
model.criterion.matcher.weights["class"] = 1.0
model.criterion.update(
    class_loss=L(SoftmaxLoss)(no_object_weight=0.1),
    weights={"class": 1.0, "bbox": 5.0, "giou": 2.0},
)
model.postprocessing.pick = L(BestClasses)()
