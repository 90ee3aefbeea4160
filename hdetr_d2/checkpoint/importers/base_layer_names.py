"""Translates parameter names of layers that are lists of attentions, norms and linear layers in
execution order (OpenMMLab's and detrex's) to those of the published Deformable-DETR family.
"""

from collections.abc import Sequence

from hdetr_d2.checkpoint.importers.names import Rule

_LAYERS = r"^(?:query_head\.)?transformer\.(encoder|decoder)\.layers\.(\d+)\."

LAYER_NAMES: Sequence[Rule] = [
    (_LAYERS + r"attentions\.0\.attn\.", r"transformer.\1.layers.\2.self_attn."),
    (_LAYERS + r"attentions\.1\.", r"transformer.\1.layers.\2.cross_attn."),
    (_LAYERS + r"attentions\.0\.", r"transformer.\1.layers.\2.self_attn."),
    (_LAYERS + r"ffns\.0\.layers\.0\.0\.", r"transformer.\1.layers.\2.linear1."),
    (_LAYERS + r"ffns\.0\.layers\.1\.", r"transformer.\1.layers.\2.linear2."),
    (_LAYERS + r"norms\.2\.", r"transformer.\1.layers.\2.norm3."),
    (
        # The family numbers the norm after the decoder's self-attention second, although it runs
        # first.
        _LAYERS + r"norms\.([01])\.",
        lambda m: f"transformer.{m[1]}.layers.{m[2]}.norm{_norm(m[1], int(m[3]))}.",
    ),
]


def _norm(stack: str, place: int) -> int:
    return 2 - place if stack == "decoder" else 1 + place
