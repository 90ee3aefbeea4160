"""Translates parameter names of the published DETR to this project's."""

from collections.abc import Sequence

from hdetr_d2.checkpoint.importers.names import SHARED, Rule, head_name, rename_by

_RULES: Sequence[Rule] = [
    (r"^input_proj\.", "neck.projections.0.0."),
    (r"^backbone\.1\.row_embed\.weight$", "encoder.position.rows"),
    (r"^backbone\.1\.col_embed\.weight$", "encoder.position.columns"),
    (r"^transformer\.(encoder|decoder)\.norm\.", r"\1.norm."),
    (
        r"^transformer\.encoder\.layers\.(\d+)\.self_attn\.in_proj_",
        r"encoder.layers.\1.attention.in_proj.",
    ),
    (r"^transformer\.encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (
        r"^transformer\.decoder\.layers\.(\d+)\.multihead_attn\.in_proj_",
        r"decoder.layers.\1.cross_attention.in_proj.",
    ),
    (
        r"^transformer\.decoder\.layers\.(\d+)\.multihead_attn\.",
        r"decoder.layers.\1.cross_attention.",
    ),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm1\.", r"decoder.layers.\1.self_norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm2\.", r"decoder.layers.\1.cross_norm."),
    (r"^(class|bbox)_embed\.(.*)$", lambda m: head_name("decoder", m[1], 0, m[2])),
    *SHARED,
]


def rename(name: str) -> str:
    """A parameter's name here; the same name if it does not belong to a DETR."""
    return rename_by(_RULES, name)
