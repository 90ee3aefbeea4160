"""The precision of a detector's parameters."""

import torch
from torch import nn

from hdetr_d2.errors import UserError


def check_precision(model: nn.Module) -> None:
    """Boxes, sampling locations and losses are computed in float32; parameters of another dtype
    would fail in the middle of a forward pass.

    Raises:
        UserError: a parameter is not float32.
    """
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise UserError(
                f"the parameter {name} is {parameter.dtype}, but this model's are torch.float32: "
                "leave out torch.set_default_dtype, model.to(dtype), .half() and .double(); for 16 "
                "bits use torch.autocast, in a training train.amp.enabled=true"
            )
