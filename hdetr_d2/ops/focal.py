"""The sigmoid focal loss (https://arxiv.org/abs/1708.02002) of single logits."""

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    """Loss of logits, any shape, whose class is there: alpha * (1 - p)^gamma * -log p.

    That of logits whose class is not there is `focal_loss(-logits, 1 - alpha, gamma)`. Computed
    from log-sigmoids: nothing is rounded to log(0).
    """
    return alpha * (-logits).sigmoid() ** gamma * -F.logsigmoid(logits)
