"""The hybrid layer of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching in the first
decoder layers, one-to-one matching in the others.
"""

from hdetr_d2.schemes.base import Scheme, check_at_least


class HybridLayer(Scheme):
    """A target takes several main queries in the first layers. The last layer of a decoder is
    one-to-one in any case: it is the one that detects.

    Args:
        repeats: how many queries a target takes in the first layers (the paper's K).
        num_layers: how many layers that are (the paper's L1).

    Raises:
        ValueError: fewer than one repetition or layer.
    """

    sets_capacity = True

    def __init__(self, *, repeats: int, num_layers: int) -> None:
        super().__init__()
        check_at_least(1, repeats=repeats, num_layers=num_layers)
        self.repeats = repeats
        self.num_layers = num_layers

    def capacity(self, layer: int, num_layers: int, progress: float) -> int:
        return self.repeats if layer < min(self.num_layers, num_layers - 1) else 1
