"""Route-DETR (https://arxiv.org/abs/2512.13876): routed self-attention in a second branch that
exists only in training.
"""

from hdetr_d2.projects.route_detr.descriptor import (
    Descriptor,
    ScoreConfidence,
    Similarity,
    SoftmaxConfidence,
)
from hdetr_d2.projects.route_detr.router import Router, RouterSizes, Routing
from hdetr_d2.projects.route_detr.schedule import CosineWarmup
from hdetr_d2.projects.route_detr.scheme import RoutedBranch

__all__ = [
    "CosineWarmup",
    "Descriptor",
    "RoutedBranch",
    "Router",
    "RouterSizes",
    "Routing",
    "ScoreConfidence",
    "Similarity",
    "SoftmaxConfidence",
]
