"""What teachers provide for a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hdetr_d2.structures.queries import Queries
from hdetr_d2.structures.targets import Targets


@dataclass
class Lesson:
    """The boxes found by a teacher, best first.

    targets: in the form of the ground truth, without masks. scores: `Tensor[B, G]` in [0, 1], 0
    where there is no box.
    """

    targets: Targets
    scores: Tensor


class BoxTeacher(Protocol):
    """Detects objects in a batch. It is frozen and not part of the model: its weights are in
    neither the checkpoints nor the optimizer.
    """

    def knows(self, inputs: Sequence[dict]) -> bool:
        """Whether it knows the images of a batch: a teacher with precomputed results may lack those
        of the validation set.
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
            inputs: Detectron2's dicts of the batch, as the model receives them.
            frames: (H, W) in pixels, to which the boxes of each image are normalised.
            num_classes: number of classes of the student.
        """


@dataclass
class Asked:
    """Queries, and a teacher's answers to them.

    queries: as both decoders take them. scores: `Tensor[B, Q, K]` in [0, 1], of the classes. boxes:
    `Tensor[B, Q, 4]` cxcywh in [0, 1].
    """

    queries: Queries
    scores: Tensor
    boxes: Tensor


class QueryTeacher(Protocol):
    """Answers queries; separate from the model, like a `BoxTeacher`."""

    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Sequence[tuple[int, int]],
        num_classes: int,
        others: Queries,
        boxes: Tensor,
    ) -> tuple[Asked, Asked]:
        """Its own queries and the given ones with its answers, both without gradient.

        Args:
            inputs: Detectron2's dicts of the batch, as the model receives them.
            frames: (H, W) in pixels, to which the boxes and references of each image are
                normalised.
            num_classes: number of classes of the student.
            others: queries in the student's form. In the answer, their positional queries (if any)
                are the teacher's for these boxes.
            boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1], of `others`.
        """


class FeatureTeacher(Protocol):
    """Provides a feature map; separate from the model, like a `BoxTeacher`."""

    def __call__(
        self, inputs: Sequence[dict], size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """`Tensor[B, C, H', W']` on `device`, without gradient: the feature map of a batch padded
        to `size`, (H, W) in pixels.
        """
