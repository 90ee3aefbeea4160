"""All training schemes side by side, under conditions that their gain may depend on, for a CPU.
docs/WHICH_SCHEME.md tells what came out.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080, and those of the other schemes
Command:   python tools/compare_schemes.py output/which_scheme --at-once 2
           --config-file configs/combined/which_scheme_shapes.py
Published: none

All detect with the same 40 queries, whatever they add to the training. Where a scheme adds queries,
each target is assigned 4 of them.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.layers import BoxRelation
from hdetr_d2.modeling import CrossFirst, DeformableEncoder, LearnedQueries, SuppressingDecoder
from hdetr_d2.teachers import DetectorTeacher

from ...projects.co_detr.configs.common.small_collaborators import one_head, two_heads
from ...projects.route_detr.configs.common.routing import paper as _routing
from ..common.data.shapes import data, dataloader
from ..common.dense_one_to_one import copy_blend, mix_up, mosaic
from ..common.low_rank_branches import low_rank_branches
from ..common.models.small import model
from ..common.runs.small import lr_multiplier, optimizer, train
from ..common.schemes import (
    align_detr,
    contrastive_denoising,
    dac_detr,
    denoising,
    feature_distillation,
    group_detr,
    hybrid_branch,
    hybrid_branch_alone,
    hybrid_epoch,
    hybrid_layer,
    instructed_branch,
    kd_detr,
    low_rank_branch,
    mixed_supervision,
    one_to_many_layers,
    one_to_one,
    query_recollection,
    separate_branch,
    teach_detr,
)

# Strides 8, 16 and 32: 336 places for proposals.
model.backbone.out_features = ["res3", "res4"]
model.neck.update(in_shapes=[40, 112], num_levels=3, out_channels=64)
model.encoder = L(DeformableEncoder)(
    sizes=model.encoder.sizes, num_layers=1, position=model.encoder.position
)
model.query_selection.num_queries = 40
model.decoder.attention_bias = None  # one of the conditions sets one

data.generate.update(root="datasets/shapes_few", max_objects=2)
dataloader.train.update(total_batch_size=4, num_workers=1)
train.update(output_dir="output/which_scheme", epochs=4)

hybrid_branch.update(num_queries=120, repeats=4)
hybrid_branch_alone.update(num_queries=120, repeats=4)
hybrid_epoch.repeats = 4
hybrid_layer.update(repeats=4, num_layers=2)
group_detr.groups = 4
contrastive_denoising.max_queries = 40
mosaic.side = 64  # of images of 128 x 128
_routing.weight.update(after=0.5, over=1.5)
# The best one trained before it, with the same seed.
_taught_by = "${train.output_dir}/../../atss_faster_rcnn/seed_${train.seed}/model_final.pth"
teach_detr.teacher = L(DetectorTeacher)(checkpoint=_taught_by)
kd_detr.num_random = 40
kd_detr.teacher.checkpoint = _taught_by
# The features of everyone's initial backbone.
feature_distillation.update(teacher_dim=112, level=1)
feature_distillation.teacher.update(
    name="tf_efficientnet_lite0", feature="res4", pretrained="offline", shrink=1
)
for heads in (one_head, two_heads):
    heads.update(strides=[8, 16, 32], max_queries=40)
    heads.collaborators.atss.head.num_levels = 4

contenders = dict(
    one_to_one=[one_to_one],
    hybrid_branch=[hybrid_branch],
    hybrid_branch_alone=[hybrid_branch_alone],
    hybrid_epoch=[hybrid_epoch],
    hybrid_layer=[hybrid_layer],
    group=[group_detr],
    denoising=[denoising],
    contrastive_denoising=[contrastive_denoising],
    mixed_supervision=[mixed_supervision],
    low_rank_branch=[low_rank_branch],
    low_rank_branches=list(low_rank_branches.values()),
    routed=[_routing],
    atss=[one_head],
    atss_faster_rcnn=[two_heads],
    dac=[dac_detr],
    align=[align_detr],
    mr_detr=[instructed_branch, separate_branch],
    recollection=[query_recollection],
    one_to_many_layers=[one_to_many_layers],
    branch_and_atss=[hybrid_branch, one_head],
    taught=[teach_detr],
    features_taught=[feature_distillation],
    answers_taught=[kd_detr],
    denoising_and_heads=[contrastive_denoising, two_heads],
    denoising_and_low_rank=[contrastive_denoising, low_rank_branch],
    denoising_heads_and_low_rank=[contrastive_denoising, two_heads, low_rank_branch],
    denoising_heads_and_mixed=[contrastive_denoising, two_heads, mixed_supervision],
    denoising_heads_and_routed=[contrastive_denoising, two_heads, _routing],
)

conditions = dict(
    two_objects={},
    eight_objects={"data.generate.root": "datasets/shapes", "data.generate.max_objects": 8},
    half_as_long={"train.epochs": 2},
    twice_as_long={"train.epochs": 8},
    random_weights={
        "model.backbone.name": "resnet10t",
        "model.backbone.pretrained": False,
        "model.backbone.frozen": 0,
        "model.backbone.norm": "gn",
        "model.neck.in_shapes": [128, 256],
    },
    learned_places={
        "model.query_selection": L(LearnedQueries)(num_queries=40, dim=64),
        "model.decoder.heads.size_bias": -2.0,
    },
    # Relation-DETR's and MDS-DETR's, which are part of the model at inference too.
    box_relation={"model.decoder.attention_bias": L(BoxRelation)(num_heads=4)},
    suppressor={
        "model.decoder": L(SuppressingDecoder)(
            sizes="${model.encoder.sizes}",
            num_layers=2,
            heads=model.decoder.heads,
            look_forward_twice=True,
            order=L(CrossFirst)(),
        )
    },
    many_queries={"model.query_selection.num_queries": 160},
    mosaics_and_blends={
        "dataloader.train.mapper.mosaic": mosaic,
        "dataloader.train.mapper.blends": [mix_up, copy_blend],
    },
)
