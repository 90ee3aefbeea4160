"""The customised positive queries of Co-DETR (https://arxiv.org/abs/2211.12860): which candidates
of a head go through the decoder.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads import Candidates
from hdetr_d2.structures import BACKGROUND, NO_LOSS


@dataclass
class Positives:
    """The candidates that become queries. boxes: `Tensor[B, Q, 4]` xyxy in px. features: `Tensor[B,
    Q, C]`. assignment: `Tensor[B, Q]`, `NO_LOSS` for padding. valid: `Tensor[B, Q]` bool, False for
    padding.
    """

    boxes: Tensor
    features: Tensor
    assignment: Tensor
    valid: Tensor


class PositiveSampler:
    """Picks as many candidates of every image as the image with the most positive ones has: its
    positives, or some of them, and then candidates of the background. The rest is padding, so that
    no shape depends on the data.

    Args:
        most: candidates of an image, the length Q of the rows.
        least: candidates of an image where there are fewer positives than this.
        draw: who is picked.

    Raises:
        ValueError: fewer candidates at most than at least, or none at least.
    """

    def __init__(self, *, draw: Draw, most: int = 300, least: int = 9) -> None:
        if not 1 <= least <= most:
            raise ValueError(f"least={least} must lie between 1 and most={most}.")
        self.draw = draw
        self.most = most
        self.least = least

    def __call__(self, candidates: Candidates) -> Positives:
        assignment = candidates.assignment
        positive = assignment >= 0
        number = positive.sum(1).max().clamp(self.least, self.most)  # of all images, on the device
        # Drawn within each kind: positives come first, what is no candidate comes last.
        kind = torch.where(positive, 0, torch.where(assignment == BACKGROUND, 1, 2))
        keys = kind + self.draw(assignment.shape, assignment.device)
        most = min(self.most, keys.shape[1])
        index = keys.topk(most, dim=1, largest=False).indices
        picked = assignment.gather(1, index)
        valid = (torch.arange(most, device=index.device) < number) & (picked != NO_LOSS)
        return Positives(
            _rows(candidates.boxes, index),
            _rows(candidates.features, index),
            picked.masked_fill(~valid, NO_LOSS),
            valid,
        )


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """`Tensor[B, N, C]` and `Tensor[B, Q]` to `Tensor[B, Q, C]`."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))
