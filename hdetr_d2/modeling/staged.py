"""A training batch, ready for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdetr_d2.modeling.preprocessing import StackedImages
from hdetr_d2.structures import Targets


@dataclass(frozen=True)
class StagedBatch:
    """A training batch with everything that the losses need on the model's device.

    inputs: Detectron2's dicts, unchanged, for teachers that process images themselves. images:
    stacked, not normalised yet. targets: the ground truth.
    """

    inputs: Sequence[dict]
    images: StackedImages
    targets: Targets
