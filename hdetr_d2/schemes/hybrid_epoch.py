"""The hybrid epoch of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching in the first
part of the training, one-to-one matching in the rest.
"""

from hdetr_d2.schemes.base import Scheme, check_at_least


class HybridEpoch(Scheme):
    """Matches each target to several main queries until a given training progress.

    Args:
        repeats: queries per target in the first part (the paper's K).
        until: training progress, in [0, 1], from which on matching is one-to-one (the paper's rho).

    Raises:
        ValueError: fewer than one repetition, or a progress outside of [0, 1].
    """

    sets_capacity = True

    def __init__(self, *, repeats: int, until: float) -> None:
        super().__init__()
        check_at_least(1, repeats=repeats)
        if not 0 <= until <= 1:
            raise ValueError(f"until={until} must lie between 0 and 1, the end of the training.")
        self.repeats = repeats
        self.until = until

    def capacity(self, layer: int, num_layers: int, progress: float) -> int:
        return self.repeats if progress < self.until else 1
