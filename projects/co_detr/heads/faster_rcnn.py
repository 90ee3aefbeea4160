"""Faster R-CNN (https://arxiv.org/abs/1506.01497), a head of Co-DETR's recipes."""

from detectron2.structures import Instances

from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads.base import CollaborativeHead, HeadOutput
from hdetr_d2.projects.co_detr.heads.roi_head import RoIHead
from hdetr_d2.projects.co_detr.heads.rpn import RegionProposalNetwork
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.targets import PixelTargets


class FasterRCNNHead(CollaborativeHead):
    """Proposals from all levels, and a second stage on the encoder's levels. Losses: "class" and
    "giou" of the second stage, "class_rpn" and "bbox_rpn" of the proposals.

    Args:
        rpn: the proposal network.
        roi_head: the second stage.
        weight: of all losses.
    """

    def __init__(
        self, *, rpn: RegionProposalNetwork, roi_head: RoIHead, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.rpn = rpn
        self.roi_head = roi_head
        self.weight = weight

    def forward(self, pyramid: Pyramid, targets: PixelTargets, draw: Draw) -> HeadOutput:
        losses, proposals = self.rpn(pyramid, targets, draw)
        output = self.roi_head(pyramid, proposals, targets, draw)
        losses = {**output.losses, **losses}
        weighted = {name: self.weight * loss for name, loss in losses.items()}
        return HeadOutput(weighted, output.candidates)

    def detect(self, pyramid: Pyramid) -> list[Instances]:
        return self.roi_head.detect(pyramid, self.rpn.propose(pyramid))
