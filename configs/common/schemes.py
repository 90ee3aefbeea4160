"""Training schemes, one node each, with the values of the papers; a recipe lists those it uses in
`model.schemes`.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.matching import TopKByScore
from hdetr_d2.schemes import (
    DACDETR,
    KDDETR,
    AlignDETR,
    CentreNoise,
    ContrastiveNoise,
    Denoising,
    FeatureDistillation,
    GroupDETR,
    HybridBranch,
    HybridEpoch,
    HybridLayer,
    InstructedBranch,
    LowRankBranch,
    MixedSupervision,
    OneToManyLayers,
    OneToOne,
    QueryRecollection,
    SeparateBranch,
    TeachDETR,
)
from hdetr_d2.teachers import CarriedBoxes, DecoderTeacher, TimmTeacher

one_to_one = L(OneToOne)()
hybrid_branch = L(HybridBranch)(num_queries=1500, repeats=6, weight=1.0)
# The same with queries that do not attend to each other.
hybrid_branch_alone = L(HybridBranch)(num_queries=1500, repeats=6, alone=True, weight=1.0)
# These two train all of the model's own queries; the paper has 1800 of them.
hybrid_epoch = L(HybridEpoch)(repeats=10, until=2 / 3)
hybrid_layer = L(HybridLayer)(repeats=10, num_layers=4)
# MDS-DETR's, whose decoder then suppresses duplicates, see models/mds_detr.py; the threshold
# applies to 0.7 IoU + 0.3 score.
one_to_many_layers = L(OneToManyLayers)(
    num_layers=None, topk=6, threshold=0.4, iou_weight=0.7, cap=1.0
)
group_detr = L(GroupDETR)(groups=11)
# MS-DETR's, whose decoder attends to the memory first: model.decoder.order = L(CrossFirst)().
mixed_supervision = L(MixedSupervision)(
    num_layers="${model.decoder.num_layers}",
    assigner=L(TopKByScore)(topk=6, threshold=0.4, iou_weight=0.7, cap=0.25),
    sizes="${model.decoder.sizes}",  # for its own feed-forward networks
    weight=1.0,
)
# LoRA-DETR's with one branch, for models with its class loss, `graded`.
low_rank_branch = L(LowRankBranch)(
    num_layers="${model.decoder.num_layers}",
    dim="${model.decoder.sizes.dim}",
    hidden_dim="${model.decoder.sizes.feedforward_dim}",
    rank=32,
    assigner=L(TopKByScore)(topk=6, threshold=0.4, iou_weight=0.7, cap=0.25, grades=True),
    weight=1.0,
)
# DN-DETR's denoising: five noised copies of the targets.
denoising = L(Denoising)(
    num_classes="${model.num_classes}",
    dim="${model.neck.out_channels}",
    box_noise=L(CentreNoise)(scale=0.4),
    label_noise=0.2,
    groups=5,
    max_queries=None,
)
# DINO's, with negatives: as many copies as fit into 200 queries. The numbers are from its authors'
# configs (a label noise of 0.5, of which they apply half); their training commands set the box
# noise to 1.
contrastive_denoising = L(Denoising)(
    num_classes="${model.num_classes}",
    dim="${model.neck.out_channels}",
    box_noise=L(ContrastiveNoise)(scale=0.4),
    label_noise=0.25,
    groups=100,
    max_queries=200,
)
# Two queries per target in all layers but the last, with the class loss `iou_aware`.
align_detr = L(AlignDETR)(repeats=2, tau=1.5, mix=0.25)
# A second stream without self-attention, with the numbers of the released code, and the class loss
# `iou_aware`. The paper weights all queries of a target equally: tau=None.
dac_detr = L(DACDETR)(
    topk=6,
    threshold=0.4,
    iou_weight=0.7,
    cap=0.25,
    tau=1.5,
    normaliser_factor=3.0,
    weight=1.0,
)
# Mr. DETR consists of both. Its authors' code for DINO has an iou_weight of 0.8 and a
# normaliser_factor of 3.
_by_score = dict(topk=6, threshold=0.4, iou_weight=0.7, cap=0.25, last_wins=True)
instructed_branch = L(InstructedBranch)(
    dim="${model.neck.out_channels}",
    num_layers="${model.decoder.num_layers}",
    num_tokens=10,
    assigner=_by_score,
)
separate_branch = L(SeparateBranch)(
    dim="${model.neck.out_channels}",
    hidden_dim="${model.encoder.sizes.feedforward_dim}",
    num_layers="${model.decoder.num_layers}",
    dropout="${model.encoder.sizes.dropout}",
    assigner=_by_score,
)
query_recollection = L(QueryRecollection)()
# A teacher's boxes are learned like the targets. They are loaded with the images, see
# data.TeacherResults, or computed by `L(DetectorTeacher)(checkpoint=...)` of hdetr_d2.teachers.
teach_detr = L(TeachDETR)(
    teacher=L(CarriedBoxes)(), num_classes="${model.num_classes}", background=0.5, weight=1.0
)
# A teacher (a checkpoint of a larger model with queries of the same form) answers its own queries
# and others at random positions; the student learns the answers.
kd_detr = L(KDDETR)(
    teacher=L(DecoderTeacher)(checkpoint="output/teacher/model_best.pth"),
    num_classes="${model.num_classes}",
    num_random=300,
    weight=1.0,
)
# RT-DETRv4's teacher of the coarsest level: the last block of a ViT, with maps of stride 32.
feature_distillation = L(FeatureDistillation)(
    teacher=L(TimmTeacher)(
        name="vit_base_patch16_dinov3.lvd1689m", feature="res15", pretrained=True, shrink=2
    ),
    dim="${model.neck.out_channels}",
    teacher_dim=768,
    level=-1,
    weight=5.0,
)
