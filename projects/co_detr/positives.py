"""The customised positive queries of Co-DETR (https://arxiv.org/abs/2211.12860): which candidates
of a head become decoder queries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads import Candidates
from hdetr_d2.projects.co_detr.sampling import sample
from hdetr_d2.structures import NO_LOSS


@dataclass
class Positives:
    """The candidates that become queries. boxes: `Tensor[B, Q, 4]` xyxy in px. features:
    `Tensor[B, Q, C]`. assignment: `Tensor[B, Q]`, `NO_LOSS` for padding. valid: `Tensor[B, Q]`
    bool, False for padding.
    """

    boxes: Tensor
    features: Tensor
    assignment: Tensor
    valid: Tensor


def pick_positives(candidates: Candidates, draw: Draw, most: int, least: int = 9) -> Positives:
    """From every image, as many candidates as the image with the most positives has: its positives
    (a sample, if there are too many), then background candidates. The rest is padding, so that
    shapes do not depend on the data.

    Args:
        draw: makes the random choice.
        most: maximum number of candidates per image, the length Q of the rows.
        least: minimum number of candidates per image.
    """
    some = sample(candidates.assignment, most, most, draw)
    number = (candidates.assignment >= 0).sum(1).max().clamp(least, most)  # on the device
    places = torch.arange(some.rows.shape[1], device=some.rows.device)
    valid = (places < number) & (some.assignment != NO_LOSS)
    return Positives(
        some.pick(candidates.boxes),
        some.pick(candidates.features),
        some.assignment.masked_fill(~valid, NO_LOSS),
        valid,
    )
