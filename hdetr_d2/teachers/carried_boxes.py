"""Boxes that a teacher found before the training, loaded with the images."""

from collections.abc import Sequence

import torch
from detectron2.structures import Instances

from hdetr_d2.errors import UserError
from hdetr_d2.structures import Lesson, Targets
from hdetr_d2.utils.device import travel

CARRIED = "teacher"
"""The key in an input dict: Instances with `gt_boxes`, `gt_classes` and `scores`, as returned by a
`DetrMapper` with a `teacher`.
"""


class CarriedBoxes:
    """A `BoxTeacher` that reads what the mapper has added to the ground truth."""

    def knows(self, inputs: Sequence[dict]) -> bool:
        """See `BoxTeacher`."""
        return any(CARRIED in item for item in inputs)

    def __call__(
        self,
        inputs: Sequence[dict],
        frames: Sequence[tuple[int, int]],
        num_classes: int,
        device: torch.device,
    ) -> Lesson:
        """
        Raises:
            UserError: an image lacks it, or has invalid boxes.
        """
        if missing := [item for item in inputs if CARRIED not in item]:
            raise UserError(
                f"image {missing[0].get('image_id', '?')} has no boxes of a teacher: set "
                "dataloader.train.mapper.teacher"
            )
        found: list[Instances] = [item[CARRIED] for item in inputs]
        taught = [{**item, "instances": each} for item, each in zip(inputs, found, strict=True)]
        targets = Targets.from_inputs(taught, num_classes, device, sizes=frames)
        scores = torch.zeros(targets.valid.shape, device="cpu")
        for row, each in zip(scores, found, strict=True):
            row[: len(each)] = each.scores
        return Lesson(targets, travel(scores, device))
