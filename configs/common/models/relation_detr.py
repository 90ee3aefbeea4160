"""Relation-DETR (https://arxiv.org/abs/2407.11699), 4-scale, R50: DINO whose main queries attend to
each other with a bias from the relation of their boxes, at inference too, plus a one-to-many group
without it, which has its own proposals.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.layers import MLP, BoxRelation
from hdetr_d2.modeling import LayerFusion, PredictionHeads

from ..losses import varifocal
from ..schemes import hybrid_branch
from .dino import contrastive_denoising, model

model.encoder.position.update(temperature=10000.0, offset=-0.5)
model.encoder.fusion = L(LayerFusion)(
    dim="${model.neck.out_channels}", num_layers="${model.encoder.num_layers}"
)
model.decoder.heads.shared = False
model.decoder.update(
    position_scale=L(MLP)(
        in_dim="${model.neck.out_channels}",
        hidden_dim="${model.neck.out_channels}",
        out_dim="${model.neck.out_channels}",
        num_layers=2,
    ),
    attention_bias=L(BoxRelation)(num_heads="${model.encoder.sizes.num_heads}"),
)
model.criterion.class_loss = varifocal
hybrid_branch.proposal_heads = L(PredictionHeads)(
    dim="${model.neck.out_channels}",
    num_classes="${model.num_classes}",
    num_layers=1,
    class_loss="${model.criterion.class_loss}",
)
contrastive_denoising.label_noise = 0.5  # all of it is redrawn, while DINO redraws half
model.schemes = [contrastive_denoising, hybrid_branch]
