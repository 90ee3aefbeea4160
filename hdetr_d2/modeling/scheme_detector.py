"""Detection with what a scheme has learned, in the decoder's place."""

from detectron2.structures import Instances

from hdetr_d2.modeling.meta_arch import DETR
from hdetr_d2.structures import Maps


class SchemeDetector:
    """A `model.detector`: one of the detectors of the model's schemes.

    Args:
        name: see `Scheme.detectors`.
    """

    def __init__(self, *, name: str) -> None:
        self.name = name

    def __call__(self, model: DETR, maps: Maps) -> list[Instances]:
        """See `Detector`.

        Raises:
            ValueError: no scheme has such a detector.
        """
        found = {name: each for s in model.schemes for name, each in s.detectors().items()}
        if self.name not in found:
            raise ValueError(
                f"model.detector.name={self.name!r}: the schemes have {sorted(found) or 'none'}."
            )
        return found[self.name](maps)
