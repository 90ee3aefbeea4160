"""The contract of a collaborative head."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from detectron2.structures import Instances
from torch import Tensor, nn

from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment


@dataclass
class Candidates:
    """What may become queries of the decoder: N of each image.

    boxes: `Tensor[B, N, 4]` xyxy in pixels, without a gradient. features: `Tensor[B, N, C]`, with
    one. assignment: `Tensor[B, N]`, the target of each or `BACKGROUND`; `NO_LOSS` where there is no
    candidate.
    """

    boxes: Tensor
    features: Tensor
    assignment: Assignment


@dataclass
class HeadOutput:
    """losses: weighted, 0-d each, by name ("class", "giou", ...). candidates: for the decoder."""

    losses: dict[str, Tensor]
    candidates: Candidates


class CollaborativeHead(nn.Module, ABC):
    """A detector on top of the encoder, in which a target is learned in many places. It trains the
    encoder, and what it learns a target from becomes queries of the decoder.
    """

    @abstractmethod
    def forward(self, pyramid: Pyramid, targets: PixelTargets, draw: Draw) -> HeadOutput:
        """Losses and candidates of a training step; `draw` makes all random choices."""

    @abstractmethod
    def detect(self, pyramid: Pyramid) -> list[Instances]:
        """What the head alone finds in each image: `pred_boxes` xyxy in pixels of the fed image,
        `scores` and `pred_classes`, the best first.
        """
