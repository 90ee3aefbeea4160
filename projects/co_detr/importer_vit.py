"""Checkpoints on EVA-02's plain transformer: options derived from their weights.

They contain the tables of rotary positions, whose lengths are numbers of patches: one for windows
and, in some models for images of one size, one for the whole map.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.names import Rule
from hdetr_d2.checkpoint.importers.weights import needed
from hdetr_d2.errors import UserError

POSITIONS = "backbone.net.pos_embed"
"""This project's name of the learned positions."""

_PARTS_OF_A_BLOCK = {
    "attn.q_bias": "attn.q_proj.bias",
    "attn.v_bias": "attn.v_proj.bias",
    "mlp.w1": "mlp.fc1_g",
    "mlp.w2": "mlp.fc1_x",
    "mlp.w3": "mlp.fc2",
    "mlp.ffn_ln": "mlp.norm",
}
VIT_NAMES: Sequence[Rule] = [
    (
        rf"^backbone\.(blocks\.\d+)\.({'|'.join(map(re.escape, _PARTS_OF_A_BLOCK))})\b",
        lambda m: f"backbone.0.body.{m[1]}.{_PARTS_OF_A_BLOCK[m[2]]}",
    ),
    (r"^backbone\.out_norm\.", "backbone.norm."),
    (r"^neck\.p(\d+)\.", lambda m: f"neck.levels.{int(m[1]) - 2}."),
]
"""Names that differ in timm and in the pyramid."""

# Channels and blocks -> timm's model.
_MODELS = {(1024, 24): "eva02_large_patch14_448.mim_m38m_ft_in22k_in1k"}
_TABLE = re.compile(r"^backbone\.blocks\.(\d+)\.attn\.rope\.freqs_cos$")
_BLOCK = re.compile(r"^backbone\.blocks\.(\d+)\.")


def is_plain_transformer(weights: Mapping[str, Tensor]) -> bool:
    """Whether this is the file's backbone, judging by its names."""
    return "backbone.blocks.0.norm1.weight" in weights


def window_side(weights: Mapping[str, Tensor]) -> int | None:
    """Side of the windows, in patches; None if the file does not tell."""
    table = weights.get("backbone.rope_win.freqs_cos")
    return None if table is None else math.isqrt(len(table))


def vit_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """Options of the backbone and its simple feature pyramid.

    Args:
        weights: of the file, under its own names.
        arguments: those of the conversion.

    Raises:
        UserError: it is not a known model.
    """
    patches = needed(weights, "backbone.patch_embed.proj.weight")
    width, patch = len(patches), patches.shape[-1]
    depth = len({match[1] for name in weights if (match := _BLOCK.match(name))})
    if (width, depth) not in _MODELS:
        raise UserError(
            f"the transformer of the file, with {width} channels and {depth} blocks, is none of "
            f"{', '.join(_MODELS.values())}"
        )
    positions = needed(weights, "backbone.pos_embed").shape[1]
    levels, dim = needed(weights, "query_head.transformer.level_embeds").shape
    options = {
        "model.backbone.name": _MODELS[width, depth],
        "model.backbone.patch_size": patch,
        "model.backbone.image_size": math.isqrt(positions) * patch,
        "model.neck.in_shapes": [width],
        "model.neck.num_levels": levels,
        "model.neck.out_channels": dim,
        **_window_options(weights, depth),
    }
    if "drop_path_rate" in arguments.stated:
        options["model.backbone.drop_path_rate"] = arguments["drop_path_rate"]
    return options


def without_class_token(positions: Tensor) -> Tensor:
    """The positions of the patches, which form a square, from `Tensor[1, N, C]` or `[1, N + 1,
    C]`.
    """
    return positions[:, -(math.isqrt(positions.shape[1]) ** 2) :]


def _window_options(weights: Mapping[str, Tensor], depth: int) -> dict[str, Any]:
    """The window options: every block with window attention has a table; a file without tables uses
    the recipe's.

    Raises:
        UserError: the global blocks are not every n-th one.
    """
    side = window_side(weights)
    if side is None:
        return {}
    tables = {int(m[1]): len(weights[name]) for name in weights if (m := _TABLE.match(name))}
    whole = [block for block in range(depth) if tables.get(block) != side**2]
    every = whole[0] + 1 if whole else depth + 1
    if whole != [*range(every - 1, depth, every)]:
        raise UserError(f"the blocks {whole} of the file attend to the whole map, not every n-th")
    return {"model.backbone.window": side, "model.backbone.global_every": every}
