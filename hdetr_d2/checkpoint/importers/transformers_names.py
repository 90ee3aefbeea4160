"""Translates parameter names of Hugging Face transformers to those of each method's own script.

Files use the names of version 4, which version 5 also reads and writes.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hdetr_d2.checkpoint.importers.names import Rule, listed_once, rename_by

_LAYER = r"^model\.(encoder|decoder)\.layers\.(\d+)\."

_SHARED: Sequence[Rule] = [
    (r"^model\.backbone\.conv_encoder\.model\.", "backbone.0.body."),
    (r"^model\.(?:backbone\.)?position_embedding\.row_embeddings\.", "backbone.1.row_embed."),
    (r"^model\.(?:backbone\.)?position_embedding\.column_embeddings\.", "backbone.1.col_embed."),
    (r"^model\.query_position_embeddings\.", "query_embed."),
    (_LAYER + r"fc(\d)\.", r"transformer.\1.layers.\2.linear\3."),
    (
        r"^model\.encoder\.layers\.(\d+)\.final_layer_norm\.",
        r"transformer.encoder.layers.\1.norm2.",
    ),
    (
        r"^model\.decoder\.layers\.(\d+)\.final_layer_norm\.",
        r"transformer.decoder.layers.\1.norm3.",
    ),
    (
        r"^model\.encoder\.layers\.(\d+)\.self_attn_layer_norm\.",
        r"transformer.encoder.layers.\1.norm1.",
    ),
    (_LAYER + r"self_attn\.", r"transformer.\1.layers.\2.self_attn."),
]
_DETR: Sequence[Rule] = [
    (r"^model\.input_projection\.", "input_proj."),
    (r"^class_labels_classifier\.", "class_embed."),
    (r"^bbox_predictor\.", "bbox_embed."),
    (r"^model\.decoder\.layernorm\.", "transformer.decoder.norm."),
    (_LAYER + r"self_attn_layer_norm\.", r"transformer.\1.layers.\2.norm1."),
    (_LAYER + r"encoder_attn_layer_norm\.", r"transformer.\1.layers.\2.norm2."),
    (_LAYER + r"encoder_attn\.", r"transformer.\1.layers.\2.multihead_attn."),
    *_SHARED,
]
_DEFORMABLE: Sequence[Rule] = [
    (r"^model\.input_proj\.", "input_proj."),
    (
        r"^model\.decoder\.layers\.(\d+)\.self_attn_layer_norm\.",
        r"transformer.decoder.layers.\1.norm2.",
    ),
    (_LAYER + r"encoder_attn_layer_norm\.", r"transformer.\1.layers.\2.norm1."),
    (_LAYER + r"encoder_attn\.", r"transformer.\1.layers.\2.cross_attn."),
    *_SHARED,
    (
        r"^model\.(?=decoder\.(?:class|bbox)_embed\.|level_embed$|reference_points\.|enc_output|pos_trans)",
        "transformer.",
    ),
]
_THIRD = re.compile(r"^(.*_attn)\.([qkv])_proj\.(weight|bias)$")
_HEAD = re.compile(r"^(class|bbox)_embed\.0\.")


def detr_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a DETR under its own script's names."""
    return _with_joint_projections({rename_by(_DETR, k): v for k, v in weights.items()})


def deformable_weights(weights: Mapping[str, Tensor], *, heads: int | None) -> dict[str, Tensor]:
    """The weights of a Deformable-DETR under its own script's names.

    Args:
        heads: number of heads, if each layer has its own: a file stores equal ones only once.
    """
    names = {name: rename_by(_DEFORMABLE, name) for name in weights}
    renamed = {listed_once(names[k], names.values()): v for k, v in weights.items()}
    for name in [*renamed] if heads else []:
        for number in range(1, heads or 0):
            if _HEAD.match(name):
                renamed.setdefault(_HEAD.sub(rf"\1_embed.{number}.", name), renamed[name])
    return _with_joint_projections(renamed)


def _with_joint_projections(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Joins query, key and value projections of an attention into one."""
    joint, thirds = dict[str, Tensor](), dict[str, dict[str, Tensor]]()
    for name, value in weights.items():
        if third := _THIRD.match(name):
            thirds.setdefault(f"{third[1]}.in_proj_{third[3]}", {})[third[2]] = value
        else:
            joint[name] = value
    for name, parts in thirds.items():
        if len(parts) == 3:  # otherwise the name is missing, which is reported
            joint[name] = torch.cat([parts[which] for which in "qkv"])
    return joint
