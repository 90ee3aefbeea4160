"""The sigmoid focal loss (https://arxiv.org/abs/1708.02002) of single logits."""

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    """Loss of logits, any shape, whose class is there: alpha * (1 - p)^gamma * -log p.

    That of logits whose class is not there is `focal_loss(-logits, 1 - alpha, gamma)`. Computed
    from log-sigmoids: nothing is rounded to log(0).
    """
    # The slope of a power below 1 is infinite at a probability of 0.
    is_root = 0 < gamma < 1
    q = (gamma * F.logsigmoid(-logits)).exp() if is_root else (-logits).sigmoid() ** gamma
    return alpha * q * -F.logsigmoid(logits)
