"""Two-stage Deformable-DETR: the queries start at the best proposals of the encoder."""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import PredictionHeads, TwoStageQueries

from .deformable_detr_refine import model

model.query_selection = L(TwoStageQueries)(
    num_queries=300,
    dim="${model.neck.out_channels}",
    heads=L(PredictionHeads)(
        dim="${model.neck.out_channels}",
        num_classes="${model.num_classes}",
        num_layers=1,
        class_loss="${model.criterion.class_loss}",
    ),
    mixed_selection=False,
)
model.decoder.heads.size_bias = 0.0  # proposals have a size
