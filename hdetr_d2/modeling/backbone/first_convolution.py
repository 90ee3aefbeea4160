"""Weights that were learned on red, green and blue, for images of other channels."""

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
    """`weights` for the channels of `own`: in a convolution of red, green and blue, the only one
    that differs in nothing else, they are repeated in turn and scaled by 3 / channels, or added up
    for a single one, as timm does. It is logged.

    Args:
        weights: of a backbone.
        own: the state of the model under the same names.
        source: where the weights are from, for the sentence.
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
    """Weights of other channels must learn.

    Args:
        names: of parameters of `module` that `with_channels` has changed.
        option: what freezes them, for the sentence.

    Raises:
        UserError: one of them is frozen.
    """
    for name in names:
        if not module.get_parameter(name).requires_grad:
            raise UserError(
                f"{option} would keep {name} as it is, which has learned red, green and blue and "
                "not the channels of these images: freeze nothing (model.backbone.frozen=0)"
            )
