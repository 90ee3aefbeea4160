"""Training schemes: what is added to the one-to-one training of the main queries. One file per
scheme.
"""

from hdetr_d2.schemes.align_detr import AlignDETR
from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.schemes.box_noise import BoxNoise, CentreNoise, ContrastiveNoise
from hdetr_d2.schemes.dac_detr import DACDETR
from hdetr_d2.schemes.denoising import Denoising
from hdetr_d2.schemes.feature_distillation import FeatureDistillation
from hdetr_d2.schemes.group_detr import GroupDETR
from hdetr_d2.schemes.hybrid_branch import HybridBranch
from hdetr_d2.schemes.hybrid_epoch import HybridEpoch
from hdetr_d2.schemes.hybrid_layer import HybridLayer
from hdetr_d2.schemes.instructed_branch import InstructedBranch
from hdetr_d2.schemes.kd_detr import KDDETR
from hdetr_d2.schemes.low_rank_branch import LowRankBranch
from hdetr_d2.schemes.mixed_supervision import MixedSupervision
from hdetr_d2.schemes.one_to_many_layers import OneToManyLayers
from hdetr_d2.schemes.one_to_one import OneToOne
from hdetr_d2.schemes.query_recollection import QueryRecollection
from hdetr_d2.schemes.ramp import CosineRamp
from hdetr_d2.schemes.separate_branch import SeparateBranch
from hdetr_d2.schemes.teach_detr import TeachDETR

__all__ = [
    "AlignDETR",
    "BoxNoise",
    "CentreNoise",
    "Context",
    "ContrastiveNoise",
    "Contribution",
    "CosineRamp",
    "DACDETR",
    "Denoising",
    "FeatureDistillation",
    "GroupDETR",
    "HybridBranch",
    "HybridEpoch",
    "HybridLayer",
    "KDDETR",
    "LowRankBranch",
    "MixedSupervision",
    "InstructedBranch",
    "OneToManyLayers",
    "OneToOne",
    "QueryRecollection",
    "Scheme",
    "SeparateBranch",
    "TeachDETR",
]
