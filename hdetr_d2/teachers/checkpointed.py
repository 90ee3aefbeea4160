"""The common base of teachers that are trained detectors of this project."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.errors import UserError
from hdetr_d2.inference.loading import open_checkpoint
from hdetr_d2.modeling import DETR
from hdetr_d2.teachers.frozen import Frozen
from hdetr_d2.utils.device import to_device

Frames = Sequence[tuple[int, int]]
"""(H, W) in pixels, to which the boxes of each image are normalised."""


class CheckpointTeacher(Frozen[DETR]):
    """A checkpoint's model.

    Args:
        checkpoint: a file written by train_net.py.
        trust: additional packages with parts of the checkpoint, see `Predictor`.
    """

    def __init__(self, checkpoint: str, trust: Sequence[str] = ()) -> None:
        self.checkpoint = checkpoint
        self.trust = tuple(trust)

    def build(self, device: torch.device) -> DETR:
        """See `Frozen`."""
        return open_checkpoint(self.checkpoint, str(device), self.trust).model  # type: ignore[return-value]

    def detector(self, num_classes: int, device: torch.device) -> DETR:
        """The model, for a student with this number of classes.

        Raises:
            UserError: it has another number of classes.
        """
        model = self.net(device)
        if model.num_classes != num_classes:
            raise UserError(
                f"the teacher {self.checkpoint} knows {model.num_classes} classes, but "
                f"{num_classes} are learned"
            )
        return model


def from_frames(boxes: Tensor, given: Frames, wanted: Frames) -> Tensor:
    """Converts boxes `Tensor[B, Q, 4]` cxcywh from one normalisation to another."""
    ratios = [
        [[width / w, height / h] * 2] for (height, width), (h, w) in zip(given, wanted, strict=True)
    ]
    return boxes * to_device(ratios, boxes)
