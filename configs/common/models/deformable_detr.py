"""Deformable-DETR (https://arxiv.org/abs/2010.04159), single-stage, R50. Sizes are set in the neck
and the encoder.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.layers import SinePositionEncoding
from hdetr_d2.losses import Criterion, FocalLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.modeling import (
    DETR,
    ChannelMapper,
    DeformableDecoder,
    DeformableEncoder,
    LayerSizes,
    LearnedQueries,
    PostProcessing,
    PredictionHeads,
    Preprocessing,
    TimmBackbone,
)
from hdetr_d2.schemes import OneToOne

model = L(DETR)(
    preprocessing=L(Preprocessing)(
        pixel_mean=[123.675, 116.28, 103.53],  # ImageNet, RGB
        pixel_std=[58.395, 57.12, 57.375],
        size_divisibility=1,  # of padded images, in pixels; more if the backbone requires it
    ),
    backbone=L(TimmBackbone)(
        name="resnet50.tv_in1k",  # torchvision's weights, as in the papers; timm's default differs
        out_features=["res3", "res4", "res5"],
        pretrained=True,
        frozen=2,  # stem and first stage
        norm="frozen_bn",
    ),
    neck=L(ChannelMapper)(
        in_shapes=[512, 1024, 2048],
        in_features=None,  # all features of the backbone
        out_channels=256,
        num_levels=4,
    ),
    encoder=L(DeformableEncoder)(
        sizes=L(LayerSizes)(
            dim="${model.neck.out_channels}",
            num_heads=8,
            num_levels="${model.neck.num_levels}",
            num_points=4,
            feedforward_dim=1024,
            dropout=0.1,
            checkpointing=False,
        ),
        num_layers=6,
        position=L(SinePositionEncoding)(dim="${model.neck.out_channels}"),
        checkpointing=False,
    ),
    query_selection=L(LearnedQueries)(num_queries=300, dim="${model.neck.out_channels}"),
    decoder=L(DeformableDecoder)(
        sizes="${model.encoder.sizes}",
        num_layers=6,
        heads=L(PredictionHeads)(
            dim="${model.neck.out_channels}",
            num_classes="${model.num_classes}",
            num_layers="${model.decoder.num_layers}",
            class_loss="${model.criterion.class_loss}",
            shared=True,
            size_bias=-2.0,
        ),
        refine=False,
        look_forward_twice=False,
        checkpointing=False,
    ),
    criterion=L(Criterion)(
        class_loss=L(FocalLoss)(alpha=0.25, gamma=2.0),
        matcher=L(HungarianMatcher)(weights={"class": 2.0, "bbox": 5.0, "giou": 2.0}),
        weights={"class": 2.0, "bbox": 5.0, "giou": 2.0},
    ),
    num_classes="${data.num_classes}",
    schemes=[L(OneToOne)()],
    postprocessing=L(PostProcessing)(num_select=100),
)
