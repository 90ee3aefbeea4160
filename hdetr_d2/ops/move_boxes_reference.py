"""Box refinement in PyTorch's own operations: the kernels' reference. Used where there are no
kernels, in exported graphs, and by tests of the kernels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def move_boxes_reference(delta: Tensor, reference: Tensor, eps: float = 1e-5) -> Tensor:
    """The same as `move_boxes`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype.
    """
    logit = torch.log(reference.clamp(eps, 1.0) / (1 - reference).clamp(eps, 1.0))
    if reference.shape[-1] == 2:
        logit = F.pad(logit, (0, 2))
    return (delta + logit).sigmoid()
