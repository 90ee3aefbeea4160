"""The sigmoid focal loss in PyTorch's own operations: the kernels' reference. Used where there are
no kernels, and by tests of the kernels.
"""

import torch
from torch import Tensor

from hdetr_d2.ops.focal import focal_loss

_NO_LOSS = -2


def sigmoid_focal_loss_reference(
    logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """The same as `sigmoid_focal_loss`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype.
    """
    classes = logits.shape[-1]
    exact = torch.float64 if logits.dtype == torch.float64 else torch.float32
    # Ignored queries have no gradient either, not even a NaN one.
    logits = torch.where((labels != _NO_LOSS)[..., None], logits.to(exact), 0.0)
    # Every class as a negative, then the difference where a query has a target: far fewer elements
    # than a dense one-hot target, and no selection on the host.
    losses = torch.where(labels != _NO_LOSS, _negative(logits, alpha, gamma).sum(-1), 0.0)
    if classes:
        picked = logits.gather(-1, labels.clamp(0, classes - 1)[..., None]).squeeze(-1)
        difference = focal_loss(picked, alpha, gamma) - _negative(picked, alpha, gamma)
        losses = losses + torch.where(labels >= 0, difference, 0.0)
    unknown = (labels < _NO_LOSS) | (labels >= classes)
    return losses.masked_fill(unknown, torch.nan).sum((1, 2))


def _negative(logits: Tensor, alpha: float, gamma: float) -> Tensor:
    """The loss of negative logits."""
    return focal_loss(-logits, 1 - alpha, gamma)
