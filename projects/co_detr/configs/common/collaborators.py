"""The heads that train beside the decoder; a recipe puts `co_heads` into `model.schemes`.

The numbers are those for four levels of strides 8 to 64; `co_dino.py` has those for five.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.projects.co_detr import (
    Adapter,
    ATSSHead,
    CollaborativeHeads,
    Collaborator,
    Collaborators,
    FasterRCNNHead,
    FeatureQueries,
    ProposalSelection,
    RegionProposalNetwork,
    RoIHead,
    Suppression,
)

_DIM, _CLASSES = "${model.neck.out_channels}", "${model.num_classes}"
# Twice the paper's lambda_2 for each of six decoder layers.
_WEIGHT = 12.0

faster_rcnn = L(Collaborator)(
    head=L(FasterRCNNHead)(
        rpn=L(RegionProposalNetwork)(
            dim=_DIM,
            train=L(ProposalSelection)(per_level=4000, most=1000, iou=0.7),
            test=L(ProposalSelection)(per_level=1000, most=1000, iou=0.7),
        ),
        roi_head=L(RoIHead)(
            dim=_DIM,
            num_classes=_CLASSES,
            num_levels="${model.neck.num_levels}",
            hidden_dim=1024,
            num_samples=512,
            suppression=L(Suppression)(iou=0.5, most=100),
        ),
        weight=_WEIGHT,
    ),
    queries=L(FeatureQueries)(dim=_DIM),
)
atss = L(Collaborator)(
    head=L(ATSSHead)(
        dim=_DIM,
        num_classes=_CLASSES,
        num_levels=5,  # those of the encoder, and that of the adapter
        num_convs=1,
        weight=_WEIGHT,
        suppression=L(Suppression)(iou=0.6, most=100),
    ),
    queries=L(FeatureQueries)(dim=_DIM),
)
co_heads = L(CollaborativeHeads)(
    collaborators=L(Collaborators)(faster_rcnn=faster_rcnn, atss=atss),
    adapter=L(Adapter)(dim=_DIM, norm_groups=32),
    strides=[8, 16, 32, 64],
    weight=1.0,
    max_queries=300,
)
