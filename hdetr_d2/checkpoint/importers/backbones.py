"""Which backbone the weights of a published detector are."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.errors import UserError

_BACKBONE = "backbone.0."
_BODY = "backbone.0.body."

# Blocks of the third stage -> timm's model, with the weights that its training starts from.
_RESNETS = {6: "resnet50.tv_in1k", 23: "resnet101.tv_in1k", 36: "resnet152.tv_in1k"}
# Channels of the first stage, blocks of the third, side of a window -> timm's model.
_SWINS = {
    (96, 6, 7): "swin_tiny_patch4_window7_224.ms_in1k",
    (96, 18, 7): "swin_small_patch4_window7_224.ms_in1k",
    (128, 18, 7): "swin_base_patch4_window7_224.ms_in22k",
    (128, 18, 12): "swin_base_patch4_window12_384.ms_in22k",
    (192, 18, 7): "swin_large_patch4_window7_224.ms_in22k",
    (192, 18, 12): "swin_large_patch4_window12_384.ms_in22k",
}


def backbone_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """The options of `model.backbone`, which the weights tell by their names and shapes.

    Raises:
        UserError: it is neither a ResNet with bottlenecks nor a Swin that is known here.
    """
    body = _of_backbone(weights)
    if "patch_embed.proj.weight" in body:
        return _swin(body, arguments)
    name = _RESNETS.get(_blocks(body, r"layer3\."))
    if name is None or "layer1.0.conv3.weight" not in body:
        raise UserError(
            f"the backbone of the file ({_BACKBONE}*) is neither one of "
            f"{', '.join(_RESNETS.values())} nor a Swin"
        )
    return {
        "model.backbone.name": name,
        "model.backbone.output_stride": 16 if arguments["dilation"] else 32,
    }


def _of_backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Its own weights; what takes features out of a model calls the model its body."""
    return {
        name.removeprefix(_BODY).removeprefix(_BACKBONE): value
        for name, value in weights.items()
        if name.startswith(_BACKBONE)
    }


def _swin(body: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    width = len(body["patch_embed.proj.weight"])
    blocks = _blocks(body, r"layers\.2\.blocks\.")
    table = body.get("layers.0.blocks.0.attn.relative_position_bias_table")
    window = 0 if table is None else (math.isqrt(len(table)) + 1) // 2  # it has (2 w - 1)^2 rows
    name = _SWINS.get((width, blocks, window))
    if name is None:
        raise UserError(
            f"the Swin of the file, with {width} channels, {blocks} blocks in its third stage and "
            f"windows of {window}, is none of {', '.join(_SWINS.values())}"
        )
    return {
        "model.backbone.name": name,
        "model.backbone.frozen": 0,
        "model.backbone.norm": None,
        "model.backbone.drop_path_rate": arguments["drop_path_rate"],
    }


def _blocks(body: Mapping[str, Tensor], stage: str) -> int:
    """How many blocks have names that go on with their number after `stage`."""
    pattern = re.compile(stage + r"(\d+)\.")
    return len({match[1] for name in body if (match := pattern.match(name))})
