"""The hybrid layer of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching in the first
decoder layers, one-to-one matching in the others.
"""

from hdetr_d2.schemes.base import Scheme, check_at_least


class HybridLayer(Scheme):
    """Matches each target to several main queries in the first layers. The last decoder layer is
    always one-to-one, because it makes the detections.

    Args:
        repeats: queries per target in the first layers (the paper's K).
        num_layers: number of first layers (the paper's L1).

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
