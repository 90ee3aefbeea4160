"""Deformable-DETR of Hugging Face's transformers as a detector."""

from collections.abc import Sequence

import numpy as np
import torch
from inference_peers import TRANSFORMERS as NAME
from inference_peers import transformers, transformers_side

from hdetr_d2.pixels import EIGHT_BITS
from hdetr_d2.runtime import Shapes

TRANSFORMERS = NAME if transformers else None


class TransformersDetector:
    """Finds nothing that anybody looks at, in the time that it takes."""

    class_names: tuple[str, ...] = ()
    image_format = EIGHT_BITS

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.side = None

    def read(self, entry: dict) -> dict:
        """The image as `Tensor[3, H, W]`."""
        return {"image": torch.from_numpy(entry["image"]).permute(2, 0, 1).contiguous()}

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """Runs on the first batch that it is given."""
        if self.side is None:
            self.side = transformers_side([item["image"] for item in batch], self.classes, "cpu")
        self.side()
        return [Shapes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)) for _ in batch]


def transformers_detector(classes: int, threads: int) -> TransformersDetector:
    torch.set_num_threads(threads)
    return TransformersDetector(classes)
