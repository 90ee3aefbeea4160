"""Translates parameter names of the published Deformable-DETR family to this project's."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hdetr_d2.checkpoint.importers.names import SHARED, Rule, head_name, in_mlp, rename_by
from hdetr_d2.errors import UserError

LABEL_TABLE = "schemes.0.label_embed.weight"
"""DINO's label embedding, with denoising as the only scheme."""

_RULES: Sequence[Rule] = [
    (r"^input_proj\.", "neck.projections."),
    (r"^transformer\.level_embed$", "encoder.level_embed"),
    (r"^transformer\.encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"^transformer\.decoder\.layers\.(\d+)\.cross_attn\.", r"decoder.layers.\1.cross_attention."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm1\.", r"decoder.layers.\1.cross_norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm2\.", r"decoder.layers.\1.self_norm."),
    (r"^transformer\.enc_output\.", "query_selection.proposal_proj."),
    (r"^transformer\.enc_output_norm\.", "query_selection.proposal_norm."),
    (r"^transformer\.pos_trans\.", "query_selection.position_proj."),
    (r"^transformer\.pos_trans_norm\.", "query_selection.position_norm."),
    (r"^transformer\.reference_points\.", "query_selection.reference_points."),
    # Only in DINO.
    (r"^transformer\.tgt_embed\.weight$", "query_selection.slots.table"),
    (r"^transformer\.enc_out_class_embed\.", "query_selection.heads.class_heads.0."),
    (
        r"^transformer\.enc_out_bbox_embed\.(.*)$",
        lambda m: f"query_selection.heads.box_heads.0.{in_mlp(m[1])}",
    ),
    (
        r"^transformer\.decoder\.ref_point_head\.(.*)$",
        lambda m: f"decoder.position.mlp.{in_mlp(m[1])}",
    ),
    (r"^transformer\.decoder\.norm\.", "decoder.norm."),
    (r"^label_enc\.weight$", LABEL_TABLE),
    *SHARED,
]
_HEAD = re.compile(r"^(class|bbox)_embed\.(\d+)\.(.*)$")


def rename(name: str, decoder_layers: int) -> str:
    """A parameter's name here; the same name if it does not belong to the family."""
    if head := _HEAD.match(name):
        kind, layer, rest = head[1], int(head[2]), head[3]
        owner, layer = ("query_selection", 0) if layer == decoder_layers else ("decoder", layer)
        return head_name(owner, kind, layer, rest)
    return rename_by(_RULES, name)


def unneeded(weights: Mapping[str, Tensor], *, shared_heads: bool) -> dict[str, str]:
    """Names in a state dict that contain nothing new -> reason.

    Args:
        shared_heads: all layers share the same heads, which the state dict repeats for each.

    Raises:
        UserError: what should be a copy differs.
    """
    reasons = {}
    for name, value in weights.items():
        if name.endswith(".relative_position_index"):
            reasons[name] = "computed from the size of a window"
        elif name != (first := _first_of(name, shared_heads=shared_heads)):
            if first not in weights or not torch.equal(value, weights[first]):
                raise UserError(f"{name} should be the same as {first}, and is not")
            reasons[name] = f"the same as {first}"
    return reasons


def _first_of(name: str, *, shared_heads: bool) -> str:
    """The name under which a head is listed first."""
    name = re.sub(r"^transformer\.decoder\.(class|bbox)_embed\.", r"\1_embed.", name)
    return re.sub(r"^(class|bbox)_embed\.\d+\.", r"\1_embed.0.", name) if shared_heads else name
