"""The sigmoid focal loss (https://arxiv.org/abs/1708.02002), elementwise."""

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    """The loss of positive logits, of any shape: alpha * (1 - p)^gamma * -log p.

    The loss of negative logits is `focal_loss(-logits, 1 - alpha, gamma)`. Computed from
    log-sigmoids, so that nothing is rounded to log(0).
    """
    # A power below 1 has an infinite slope at a probability of 0.
    is_root = 0 < gamma < 1
    q = (gamma * F.logsigmoid(-logits)).exp() if is_root else (-logits).sigmoid() ** gamma
    return alpha * q * -F.logsigmoid(logits)
