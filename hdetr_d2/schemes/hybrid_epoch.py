"""The hybrid epoch of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching first,
one-to-one matching for the rest of the training.
"""

from hdetr_d2.schemes.base import Scheme, check_at_least


class HybridEpoch(Scheme):
    """A target takes several main queries until a part of the training is done.

    Args:
        repeats: how many queries a target takes at first (the paper's K).
        until: where one-to-one matching begins, as a part of the training in [0, 1] (the paper's
            rho).

    Raises:
        ValueError: fewer than one repetition, or a part that is none.
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
