"""What a teacher says of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hdetr_d2.structures.queries import Queries
from hdetr_d2.structures.targets import Targets


@dataclass
class Lesson:
    """The boxes that a teacher has found, best first.

    targets: as the ground truth, without masks. scores: `Tensor[B, G]` in [0, 1], 0 where there is
    no box.
    """

    targets: Targets
    scores: Tensor


class BoxTeacher(Protocol):
    """Says where a batch has objects. It learns nothing and is no part of the model: neither a
    checkpoint nor an optimizer has its weights.
    """

    def knows(self, inputs: Sequence[dict]) -> bool:
        """Whether it can say anything of a batch: one that has seen certain images beforehand need
        not have seen those of a validation.
        """

    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Sequence[tuple[int, int]],
        num_classes: int,
        device: torch.device,
    ) -> Lesson:
        """Its boxes, on `device`.

        Args:
            inputs: Detectron2's dicts of the batch, as the model gets them.
            frames: (H, W) in pixels that the boxes of each image shall be relative to.
            num_classes: of the student.
        """


@dataclass
class Asked:
    """Queries, and what a teacher answers them.

    queries: as both decoders take them. scores: `Tensor[B, Q, K]` in [0, 1], of the classes. boxes:
    `Tensor[B, Q, 4]` cxcywh in [0, 1].
    """

    queries: Queries
    scores: Tensor
    boxes: Tensor


class QueryTeacher(Protocol):
    """Answers queries, as a `BoxTeacher` apart from the model."""

    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Sequence[tuple[int, int]],
        num_classes: int,
        others: Queries,
        boxes: Tensor,
    ) -> tuple[Asked, Asked]:
        """Its own queries, and others: both without gradient.

        Args:
            inputs: Detectron2's dicts of the batch, as the model gets them.
            frames: (H, W) in pixels that boxes and references of each image are relative to.
            num_classes: of the student.
            others: of the student's kind; in the answer they have the position, where queries bring
                one, that the teacher gives to queries at
            boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1].
        """


class FeatureTeacher(Protocol):
    """Says what there is to see where, as a `BoxTeacher` apart from the model."""

    def __call__(
        self, inputs: Sequence[dict], size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """`Tensor[B, C, H', W']` on `device`, without gradient: the map of a batch that is padded
        to `size`, (H, W) in pixels.
        """
