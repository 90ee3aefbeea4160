"""The feature maps of a batch at every stage on the way to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hdetr_d2.structures import Memory


@dataclass
class Maps:
    """What is known of the pixels of a batch.

    features: of the backbone, by name, `Tensor[B, C_f, H_f, W_f]`. levels: of the neck, `Tensor[B,
    C, H_l, W_l]`. memory: the encoder's output. size: (H, W) of the padded images.
    """

    features: Mapping[str, Tensor]
    levels: Sequence[Tensor]
    memory: Memory
    size: tuple[int, int]

    def of_image(self, index: int) -> "Maps":
        """Those of one image, as a batch of one."""
        one, memory = slice(index, index + 1), self.memory
        cut = (memory.tokens[one], memory.padding[one], memory.shapes, memory.valid_ratios[one])
        features = {name: feature[one] for name, feature in self.features.items()}
        return Maps(features, [level[one] for level in self.levels], Memory(*cut), self.size)
