"""Identifies the backbone of a published detector from its weights."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.errors import UserError

_BACKBONE = "backbone.0."
_BODY = "backbone.0.body."

# Blocks in the third stage -> timm's model, with the weights that training starts from.
_RESNETS = {6: "resnet50.tv_in1k", 23: "resnet101.tv_in1k", 36: "resnet152.tv_in1k"}
# Channels of the first stage, blocks of the third, window size -> timm's model.
_SWINS = {
    (96, 6, 7): "swin_tiny_patch4_window7_224.ms_in1k",
    (96, 18, 7): "swin_small_patch4_window7_224.ms_in1k",
    (128, 18, 7): "swin_base_patch4_window7_224.ms_in22k",
    (128, 18, 12): "swin_base_patch4_window12_384.ms_in22k",
    (192, 18, 7): "swin_large_patch4_window7_224.ms_in22k",
    (192, 18, 12): "swin_large_patch4_window12_384.ms_in22k",
}
# Channels of the first stage, blocks of the third -> timm's model.
_CONVNEXTS = {
    (96, 9): "convnext_tiny.fb_in22k_ft_in1k_384",
    (96, 27): "convnext_small.fb_in22k_ft_in1k_384",
    (128, 27): "convnext_base.fb_in22k_ft_in1k_384",
    (192, 27): "convnext_large.fb_in22k_ft_in1k_384",
}
# Channels of the first stage, blocks of the third, focal levels, whether branches are scaled ->
# timm's model.
_FOCALNETS = {
    (96, 6, 3, False): "focalnet_tiny_lrf.ms_in1k",
    (96, 18, 3, False): "focalnet_small_lrf.ms_in1k",
    (128, 18, 3, False): "focalnet_base_lrf.ms_in1k",
    (192, 18, 3, True): "focalnet_large_fl3.ms_in22k",
    (192, 18, 4, True): "focalnet_large_fl4.ms_in22k",
}


def backbone_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """The options of `model.backbone`, derived from names and shapes of the weights.

    Raises:
        UserError: it is not a ResNet with bottlenecks, or a known Swin, ConvNeXt or FocalNet.
    """
    body = _of_backbone(weights)
    for first, family in _FAMILIES.items():
        if first in body:
            return family(body, arguments)
    name = _RESNETS.get(_blocks(body, r"layer3\."))
    if name is None or "layer1.0.conv3.weight" not in body:
        raise UserError(
            f"the backbone of the file ({_BACKBONE}*) is neither one of "
            f"{', '.join(_RESNETS.values())} nor a Swin, ConvNeXt, FocalNet or ViTDet"
        )
    return {
        "model.backbone.name": name,
        "model.backbone.output_stride": 16 if arguments["dilation"] else 32,
    }


def _of_backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the backbone; feature extractors call the wrapped model "body"."""
    return {
        name.removeprefix(_BODY).removeprefix(_BACKBONE): value
        for name, value in weights.items()
        if name.startswith(_BACKBONE)
    }


def _swin(body: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    table = body.get("layers.0.blocks.0.attn.relative_position_bias_table")
    sizes = {
        "channels": len(body["patch_embed.proj.weight"]),
        "blocks in its third stage": _blocks(body, r"layers\.2\.blocks\."),
        # A window of size w has a table of (2 w - 1)^2 rows.
        "cells on a window's side": 0 if table is None else (math.isqrt(len(table)) + 1) // 2,
    }
    return _unfrozen(_of_sizes("Swin", _SWINS, sizes), arguments)


def _convnext(body: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    sizes = {
        "channels": len(body["stem_0.weight"]),
        "blocks in its third stage": _blocks(body, r"stages_2\.blocks\."),
    }
    options = _unfrozen(_of_sizes("ConvNeXt", _CONVNEXTS, sizes), arguments)
    return options | {"model.backbone.map_norm_eps": 1e-6}


def _focalnet(body: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    sizes = {
        "channels": len(body["stem.proj.weight"]),
        "blocks in its third stage": _blocks(body, r"layers_2\.blocks\."),
        "levels of a modulation": _blocks(body, r"layers_0\.blocks\.0\.modulation\.focal_layers\."),
        "scaled branches": "layers_0.blocks.0.ls1.gamma" in body,
    }
    options = _unfrozen(_of_sizes("FocalNet", _FOCALNETS, sizes), arguments)
    return options | {"model.backbone.map_norm_eps": 1e-5}


# The first weight of a family -> its options.
_FAMILIES: Mapping[str, Callable[[Mapping[str, Tensor], Arguments], dict[str, Any]]] = {
    "patch_embed.proj.weight": _swin,
    "stem_0.weight": _convnext,
    "stem.proj.weight": _focalnet,
}


def _of_sizes(kind: str, models: Mapping[tuple, str], sizes: Mapping[str, int]) -> str:
    """The timm model with these sizes."""
    name = models.get(tuple(sizes.values()))
    if name is None:
        told = ", ".join(f"{what}: {size}" for what, size in sizes.items())
        raise UserError(f"the {kind} of the file ({told}) is none of {', '.join(models.values())}")
    return name


def _unfrozen(name: str, arguments: Arguments) -> dict[str, Any]:
    return {
        "model.backbone.name": name,
        "model.backbone.frozen": 0,
        "model.backbone.norm": None,
        "model.backbone.drop_path_rate": arguments["drop_path_rate"],
    }


def _blocks(body: Mapping[str, Tensor], stage: str) -> int:
    """The number of blocks whose names continue `stage` with an index."""
    pattern = re.compile(stage + r"(\d+)\.")
    return len({match[1] for name in body if (match := pattern.match(name))})
