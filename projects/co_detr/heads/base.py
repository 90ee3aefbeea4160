"""The interface of collaborative heads."""

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
    """Candidates for decoder queries: N per image.

    boxes: `Tensor[B, N, 4]` xyxy in pixels, without gradient. features: `Tensor[B, N, C]`, with
    gradient. assignment: `Tensor[B, N]`, the target of each or `BACKGROUND`; `NO_LOSS` for padding.
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
    """A detector on top of the encoder with one-to-many assignment. It trains the encoder, and its
    positives become decoder queries.
    """

    @abstractmethod
    def forward(self, pyramid: Pyramid, targets: PixelTargets, draw: Draw) -> HeadOutput:
        """Losses and candidates of a training step; all random choices are made by `draw`."""

    @abstractmethod
    def detect(self, pyramid: Pyramid) -> list[Instances]:
        """The head's own detections in each image: `pred_boxes` xyxy in pixels of the model's
        input, `scores` and `pred_classes`, best first.
        """
