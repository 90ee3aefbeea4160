"""A training batch where the model can take it from."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdetr_d2.modeling.preprocessing import StackedImages
from hdetr_d2.structures import Targets


@dataclass(frozen=True)
class StagedBatch:
    """A batch of a training, with all that its losses need of it on the device of the model.

    inputs: Detectron2's dicts, as they came, for teachers that look for themselves. images:
    stacked, not yet normalised. targets: the ground truth.
    """

    inputs: Sequence[dict]
    images: StackedImages
    targets: Targets
