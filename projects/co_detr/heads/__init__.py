"""The collaborative heads."""

from hdetr_d2.projects.co_detr.heads.atss import ATSSHead
from hdetr_d2.projects.co_detr.heads.base import Candidates, CollaborativeHead, HeadOutput
from hdetr_d2.projects.co_detr.heads.faster_rcnn import FasterRCNNHead
from hdetr_d2.projects.co_detr.heads.fcos import FCOSHead
from hdetr_d2.projects.co_detr.heads.gfl import GFLHead
from hdetr_d2.projects.co_detr.heads.paa import PAAHead
from hdetr_d2.projects.co_detr.heads.proposals import ProposalSelection
from hdetr_d2.projects.co_detr.heads.retinanet import RetinaNetHead
from hdetr_d2.projects.co_detr.heads.roi_head import RoIHead
from hdetr_d2.projects.co_detr.heads.rpn import RegionProposalNetwork

__all__ = [
    "ATSSHead",
    "Candidates",
    "CollaborativeHead",
    "FCOSHead",
    "FasterRCNNHead",
    "GFLHead",
    "HeadOutput",
    "PAAHead",
    "ProposalSelection",
    "RegionProposalNetwork",
    "RetinaNetHead",
    "RoIHead",
]
