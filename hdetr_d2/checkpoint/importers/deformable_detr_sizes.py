"""Derives the sizes of a published Deformable-DETR from its weights, as config options."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.errors import UserError

_SIZES = "model.encoder.sizes"
TOLD_BY_WEIGHTS = dict.fromkeys(
    (
        "num_feature_levels",
        "hidden_dim",
        "enc_layers",
        "dec_layers",
        "dim_feedforward",
        "enc_n_points",
        "dec_n_points",
    )
)
"""Arguments that need no default, since the weights imply them; if stated, they must agree."""


def neck_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """Levels and features: a 1x1 convolution projects a feature, a larger one creates an additional
    level.
    """
    levels, dim = needed(weights, "transformer.level_embed").shape
    convs = [needed(weights, f"input_proj.{level}.0.weight") for level in range(levels)]
    channels = [conv.shape[1] for conv in convs if conv.shape[-1] == 1]
    features = [f"res{6 - place}" for place in range(len(channels), 0, -1)]  # the last one is res5
    return {
        "model.backbone.out_features": features,
        "model.neck.in_shapes": channels,
        "model.neck.num_levels": arguments.told("num_feature_levels", levels),
        "model.neck.out_channels": arguments.told("hidden_dim", dim),
    }


def transformer_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """Layers, heads, points and hidden channels."""
    linear = needed(weights, "transformer.encoder.layers.0.linear1.weight")
    points = _points(weights, "encoder", "self_attn", arguments)
    decoder_points = _points(weights, "decoder", "cross_attn", arguments)
    options = {
        f"{_SIZES}.num_heads": arguments["nheads"],
        f"{_SIZES}.num_points": arguments.told("enc_n_points", points),
        f"{_SIZES}.feedforward_dim": arguments.told("dim_feedforward", len(linear)),
        "model.encoder.num_layers": arguments.told("enc_layers", count_layers(weights, "encoder")),
        "model.decoder.num_layers": arguments.told("dec_layers", count_layers(weights, "decoder")),
    }
    if arguments.told("dec_n_points", decoder_points) != points:
        options["model.decoder.sizes"] = _decoder_sizes(decoder_points)
    return options


def _points(weights: Mapping[str, Tensor], stack: str, attention: str, arguments: Arguments) -> int:
    """Sampling points per head and level, from the total number in the attention."""
    levels, dim = needed(weights, "transformer.level_embed").shape
    name = f"transformer.{stack}.layers.0.{attention}.attention_weights.bias"
    samples, heads = len(needed(weights, name)), arguments["nheads"]
    if heads < 1 or dim % heads or samples % (heads * levels):
        raise UserError(
            f"nheads={heads} does not fit the weights: {dim} channels, and {samples} samples on "
            f"{levels} levels; --arg nheads=... says otherwise"
        )
    return samples // (heads * levels)


def _decoder_sizes(points: int) -> dict[str, Any]:
    """The encoder's sizes with another number of points."""
    same = ("dim", "num_heads", "num_levels", "feedforward_dim", "dropout")
    node: dict[str, Any] = {"_target_": "hdetr_d2.modeling.LayerSizes"}
    return node | {key: f"${{{_SIZES}.{key}}}" for key in same} | {"num_points": points}
