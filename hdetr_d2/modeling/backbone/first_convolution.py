"""Adapts RGB weights to images with other channels."""

import logging
from collections.abc import Mapping

from timm.models import adapt_input_conv
from torch import Tensor, nn

from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

COLOURS = 3


def with_channels(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], source: object
) -> dict[str, Tensor]:
    """Adapts `weights` to the channels of `own`. An RGB convolution, recognised by a shape that
    differs only in the input channels, has its kernels repeated cyclically and scaled by 3 /
    channels, or summed for a single channel, as timm does. This is logged.

    Args:
        weights: of a backbone.
        own: the model's state dict, with the same names.
        source: where the weights come from, for the message.
    """
    fitted = dict(weights)
    for name in adapted(weights, own):
        channels = own[name].shape[1]
        fitted[name] = adapt_input_conv(channels, weights[name])
        how = "their sum" if channels == 1 else f"these in turn, scaled by {COLOURS}/{channels}"
        logger.warning(
            f"{source}: {name} knows red, green and blue; {channels} channel(s) begin with {how}"
        )
    return fitted


def adapted(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Names of the convolutions that `with_channels` changes."""
    return [
        name
        for name, value in weights.items()
        if name in own
        and value.ndim == 4
        and value.shape[1] == COLOURS != own[name].shape[1]
        and value[:, 0].shape == own[name][:, 0].shape
    ]


def refuse_frozen(module: nn.Module, names: list[str], option: str) -> None:
    """Refuses to freeze adapted weights: they must be trained.

    Args:
        names: parameters of `module` that `with_channels` has changed.
        option: the option that freezes them, for the message.

    Raises:
        UserError: one of them is frozen.
    """
    for name in names:
        if not module.get_parameter(name).requires_grad:
            raise UserError(
                f"{option} would keep {name} as it is, which has learned red, green and blue and "
                "not the channels of these images: freeze nothing (model.backbone.frozen=0)"
            )
