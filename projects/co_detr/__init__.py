"""Co-DETR (https://arxiv.org/abs/2211.12860): detectors with one-to-many assignments are trained
beside the decoder, and their positives become additional decoder queries.
"""

from hdetr_d2.projects.co_detr.adapter import Adapter
from hdetr_d2.projects.co_detr.collaborators import Collaborator, Collaborators
from hdetr_d2.projects.co_detr.detection import SoftSuppression, Suppression
from hdetr_d2.projects.co_detr.draw import Draw, RandomDraw
from hdetr_d2.projects.co_detr.heads import (
    ATSSHead,
    Candidates,
    CollaborativeHead,
    FasterRCNNHead,
    FCOSHead,
    GFLHead,
    HeadOutput,
    PAAHead,
    ProposalSelection,
    RegionProposalNetwork,
    RetinaNetHead,
    RoIHead,
)
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.queries import BoxQueries, FeatureQueries
from hdetr_d2.projects.co_detr.scheme import CollaborativeHeads
from hdetr_d2.projects.co_detr.targets import PixelTargets

__all__ = [
    "ATSSHead",
    "Adapter",
    "BoxQueries",
    "Candidates",
    "CollaborativeHead",
    "CollaborativeHeads",
    "Collaborator",
    "Collaborators",
    "Draw",
    "FCOSHead",
    "FasterRCNNHead",
    "FeatureQueries",
    "GFLHead",
    "HeadOutput",
    "PAAHead",
    "PixelTargets",
    "ProposalSelection",
    "Pyramid",
    "RandomDraw",
    "RegionProposalNetwork",
    "RetinaNetHead",
    "RoIHead",
    "SoftSuppression",
    "Suppression",
]
