"""Parameter names of the published Deformable-DETR family as names of this project."""

import re

import torch
from torch import Tensor

_RULES = [
    (r"^backbone\.0\.body\.", "backbone.net."),
    (r"^input_proj\.", "neck.projections."),
    (r"^transformer\.level_embed$", "encoder.level_embed"),
    (r"^transformer\.encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm1\.", r"encoder.layers.\1.norm."),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm2\.", r"encoder.layers.\1.feed_forward.norm."),
    (r"^transformer\.encoder\.layers\.(\d+)\.linear", r"encoder.layers.\1.feed_forward.linear"),
    (r"^transformer\.decoder\.layers\.(\d+)\.cross_attn\.", r"decoder.layers.\1.cross_attention."),
    (
        r"^transformer\.decoder\.layers\.(\d+)\.self_attn\.in_proj_",
        r"decoder.layers.\1.self_attention.in_proj.",
    ),
    (r"^transformer\.decoder\.layers\.(\d+)\.self_attn\.", r"decoder.layers.\1.self_attention."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm1\.", r"decoder.layers.\1.cross_norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm2\.", r"decoder.layers.\1.self_norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm3\.", r"decoder.layers.\1.feed_forward.norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.linear", r"decoder.layers.\1.feed_forward.linear"),
    (r"^transformer\.enc_output\.", "query_selection.proposal_proj."),
    (r"^transformer\.enc_output_norm\.", "query_selection.proposal_norm."),
    (r"^transformer\.pos_trans\.", "query_selection.position_proj."),
    (r"^transformer\.pos_trans_norm\.", "query_selection.position_norm."),
]


def rename(state: dict[str, Tensor], decoder_layers: int, main_queries: int) -> dict[str, Tensor]:
    """The weights under this project's names. Heads that a reference lists twice are kept once."""
    state = dict(state)
    main, *extra = state.pop("query_embed.weight").split(main_queries)
    renamed = {"query_selection.slots.table": main}
    if extra:
        renamed["scheme_slots.one2many.table"] = torch.cat(extra)
    for name, value in state.items():
        if name.startswith("transformer.decoder.") and "_embed." in name:
            continue  # the same storage as the heads of the detector itself
        renamed[_rename(name, decoder_layers)] = value
    return renamed


def rename_loss(name: str) -> str:
    """`loss_ce_0_one2many` is `loss_class_one2many_0` here."""
    name = name.replace("loss_ce", "loss_class")
    return re.sub(r"(_\d+)_one2many$", r"_one2many\1", name)


def _rename(name: str, decoder_layers: int) -> str:
    head = re.match(r"^(class|bbox)_embed\.(\d+)\.(.*)$", name)
    if head:
        kind, layer, rest = head[1], int(head[2]), head[3]
        owner, layer = ("query_selection", 0) if layer == decoder_layers else ("decoder", layer)
        # An MLP here counts its activations as layers too.
        rest = re.sub(r"^layers\.(\d+)", lambda m: str(2 * int(m[1])), rest)
        return f"{owner}.heads.{'class' if kind == 'class' else 'box'}_heads.{layer}.{rest}"
    for pattern, replacement in _RULES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


def total_norm(gradients: list[Tensor]) -> float:
    return torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients])).item()
