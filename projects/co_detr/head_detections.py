"""Detections from one of the collaborative heads instead of the decoder."""

from collections.abc import Sequence

from detectron2.structures import Instances

from hdetr_d2.errors import MisfitError
from hdetr_d2.modeling import DETR, MaskHead, PostProcessing
from hdetr_d2.modeling.picks import Pick
from hdetr_d2.modeling.postprocessing import to_original_size
from hdetr_d2.structures import ImageMaps


class HeadDetections(PostProcessing):
    """The detections of a collaborator's head; their number is limited by its `suppression`.

    Args:
        name: of the collaborator.
        num_select, pick: for callers that need detections of the queries.
    """

    training_only: Sequence[str] = ("scheme_slots",)

    def __init__(self, *, name: str, num_select: int = 100, pick: Pick | None = None) -> None:
        super().__init__(num_select=num_select, pick=pick)
        self.name = name

    def check_masks(self, mask_head: MaskHead | None) -> None:
        """Raises ValueError for a mask head."""
        if mask_head is not None:
            raise ValueError(
                "model.mask_head gives masks to queries, which HeadDetections has not."
            )

    def __call__(self, model: DETR, maps: ImageMaps, batched_inputs: Sequence[dict]) -> list[dict]:
        """Raises MisfitError if no scheme has such a head."""
        return to_original_size(self.find(model, maps), batched_inputs)

    def find(self, model: DETR, maps: ImageMaps) -> list[Instances]:
        """In pixels of the model's input."""
        found = {name: each for s in model.schemes for name, each in s.detectors().items()}
        if self.name not in found:
            raise MisfitError(
                f"model.postprocessing.name={self.name!r}: the schemes have "
                f"{sorted(found) or 'none'}."
            )
        return found[self.name](maps)
