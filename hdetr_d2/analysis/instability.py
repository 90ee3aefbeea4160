"""How much the matching of the same images changes between consecutive checkpoints of a run."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hdetr_d2.structures import BACKGROUND


class Instability(NamedTuple):
    """Instability of the matching on a data set, from one checkpoint to the next.

    queries: mean number of queries per image whose target has changed, appeared or disappeared (IS
    of DN-DETR, https://arxiv.org/abs/2203.01305). targets: the fraction of targets whose query has
    changed; NaN without targets.
    """

    queries: float
    targets: float


def instability(before: Sequence[Tensor], after: Sequence[Tensor]) -> Instability:
    """Compares the assignments in one decoder layer, `Tensor[Q]` per image, of at least one image;
    both sequences have the same order.

    Raises:
        ValueError: the numbers of images or of queries differ.
    """
    changed, moved, matched = 0, 0, 0
    for old, new in zip(before, after, strict=True):
        if old.shape != new.shape:
            raise ValueError(f"{len(old)} queries cannot be compared with {len(new)}.")
        other = old != new
        changed += int(other.sum())
        has_target = new > BACKGROUND
        moved += int((other & has_target).sum())
        matched += int(has_target.sum())
    part = moved / matched if matched else torch.nan
    return Instability(changed / len(before), part)
