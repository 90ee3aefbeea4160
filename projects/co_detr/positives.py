"""The customised positive queries of Co-DETR (https://arxiv.org/abs/2211.12860): which candidates
of a head go through the decoder.
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
    """The candidates that become queries. boxes: `Tensor[B, Q, 4]` xyxy in px. features: `Tensor[B,
    Q, C]`. assignment: `Tensor[B, Q]`, `NO_LOSS` for padding. valid: `Tensor[B, Q]` bool, False for
    padding.
    """

    boxes: Tensor
    features: Tensor
    assignment: Tensor
    valid: Tensor


def pick_positives(candidates: Candidates, draw: Draw, most: int, least: int = 9) -> Positives:
    """As many candidates of every image as the image with the most positive ones has: its
    positives, or some of them, and then candidates of the background. The rest is padding, so that
    no shape depends on the data.

    Args:
        draw: who is picked.
        most: candidates of an image, the length Q of the rows.
        least: candidates of an image where there are fewer positives than this.
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
