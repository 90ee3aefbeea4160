"""The common base of one-stage heads."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from detectron2.structures import Instances
from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors, AnchorShapes, square_anchors
from hdetr_d2.projects.co_detr.boxes import clip_boxes
from hdetr_d2.projects.co_detr.detection import Suppress, Suppression
from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads.base import Candidates, CollaborativeHead, HeadOutput
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions, DensePredictor
from hdetr_d2.projects.co_detr.levels import best_of_levels
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, Assignment

_PAIRS_OF_A_LEVEL = 1000
"""Number of anchor-class pairs per level, the best ones, that enter the suppression."""


class DenseHead(CollaborativeHead):
    """A head that predicts classes and a box for every anchor of the pyramid.

    shapes: of the anchors. suppression: default for creating detections.

    Args:
        dim: channels C of the maps.
        num_classes: K.
        num_levels: of the pyramid.
        num_convs: per tower; one in Co-DETR, four in a standalone detector.
        weight: of all losses.
        suppression: creates detections; None for the default of the class.
        outputs: further arguments of the `DensePredictor`, for heads with other outputs.
    """

    shapes: AnchorShapes = square_anchors()
    suppression: Suppress = Suppression(iou=0.6)

    def __init__(
        self,
        *,
        dim: int,
        num_classes: int,
        num_levels: int,
        num_convs: int = 1,
        weight: float = 1.0,
        suppression: Suppress | None = None,
        **outputs: Any,
    ) -> None:
        super().__init__()
        self.predictor = DensePredictor(
            dim=dim, num_classes=num_classes, num_levels=num_levels, num_convs=num_convs, **outputs
        )
        self.weight = weight
        self.suppression = suppression or self.suppression

    @abstractmethod
    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        """Box outputs `Tensor[B, N, D]` to boxes `Tensor[B, N, 4]` xyxy in pixels."""

    @abstractmethod
    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        """The target of every anchor, `Tensor[B, N]`."""

    @abstractmethod
    def losses(
        self,
        predictions: DensePredictions,
        anchors: Anchors,
        assignment: Assignment,
        targets: PixelTargets,
    ) -> Mapping[str, Tensor]:
        """By name, without the weight of the head."""

    def scores(self, pairs: Tensor, quality: Tensor | None) -> Tensor:
        """The scores of detections, from class scores and quality, `Tensor[B, n]` each and in [0,
        1].
        """
        return pairs if quality is None else pairs * quality

    def forward(self, pyramid: Pyramid, targets: PixelTargets, draw: Draw) -> HeadOutput:
        predictions, anchors = self.predictor(pyramid.maps), self.shapes.at(pyramid.cells)
        with torch.no_grad():
            assignment = self.assign(predictions, anchors, targets)
        losses = self.losses(predictions, anchors, assignment, targets)
        return HeadOutput(
            {name: self.weight * loss for name, loss in losses.items()},
            self.candidates(pyramid, anchors, assignment, draw),
        )

    def candidates(
        self, pyramid: Pyramid, anchors: Anchors, assignment: Assignment, draw: Draw
    ) -> Candidates:
        """Every anchor with the feature of its cell. As in the published code, anchors outside of
        an image are ordinary background, but with a box of four zeros.
        """
        boxes = anchors.boxes.where(anchors.valid[..., None], 0.0)
        assignment = torch.where(anchors.valid, assignment, BACKGROUND)
        return Candidates(boxes, pyramid.tokens, assignment)

    def detect(self, pyramid: Pyramid) -> list[Instances]:
        predictions, anchors = self.predictor(pyramid.maps), self.shapes.at(pyramid.cells)
        classes, quality = predictions.logits.shape[2], predictions.quality
        pairs, index = best_of_levels(
            predictions.logits.sigmoid().flatten(1),
            [length * classes for length in anchors.lengths],
            _PAIRS_OF_A_LEVEL,
        )
        row = index // classes
        scores = self.scores(pairs, None if quality is None else quality.sigmoid().gather(1, row))
        boxes = clip_boxes(self.decode(predictions.boxes, anchors), pyramid.sizes)
        boxes = boxes.gather(1, row[..., None].expand(-1, -1, 4))
        images = zip(boxes, scores, index % classes, pyramid.sizes, strict=True)
        return [self.suppression(*image) for image in images]
