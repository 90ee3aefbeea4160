"""Translates parameter names of the released Route-DETR code to those of the published
Deformable-DETR family, which the core reads.
"""

import re
from collections.abc import Callable

from hdetr_d2.checkpoint.importers.deformable_detr_names import rename as rename_family

_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^backbone\.", "backbone.0.body."),
    (r"^neck\.convs\.", "input_proj."),
    (r"^transformer\.level_embeds$", "transformer.level_embed"),
    (r"^transformer\.decoder\.class_head\.", "class_embed."),
    (r"^transformer\.decoder\.bbox_head\.", "bbox_embed."),
]
_ROUTER = re.compile(r"^transformer\.decoder\.layers\.(\d+)\.query_router\.(.*)$")
_ROUTER_RULES = {
    "router_gamma_sup": "suppressor.raw_strength",
    "router_gamma_del": "delegator.raw_strength",
    "router_U_sup.weight": "suppressor.rows.weight",
    "router_V_sup.weight": "suppressor.columns.weight",
    "router_U_del.weight": "delegator.rows.weight",
    "router_V_del.weight": "delegator.columns.weight",
    "selector_a.weight": "gate.rows.weight",
    "selector_b.weight": "gate.columns.weight",
}
_QUERIES = {
    "transformer.pos_trans.": "query_selection.content_proj.",
    "transformer.pos_trans_norm.": "query_selection.content_norm.",
    "transformer.decoder.ref_point_head.0.": "query_selection.position_proj.",
    "transformer.decoder.ref_point_head.1.": "query_selection.position_norm.",
}


def family_name(name: str, decoder_layers: int) -> str:
    """The parameter's name in Deformable-DETR's own script, if it exists there."""
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    proposal_heads = rf"\1_embed.{decoder_layers}."
    return re.sub(r"^transformer\.encoder_(class|bbox)_head\.", proposal_heads, name)


def router_layer(name: str) -> int | None:
    """The decoder layer of a router's parameter; None for any other parameter."""
    match = _ROUTER.match(name)
    return int(match[1]) if match else None


def rename(name: str, decoder_layers: int) -> str:
    """A parameter's name here, from its name in the family; the same name if it is unknown."""
    if match := _ROUTER.match(name):
        part = re.sub(r"^router_phi\.", "represent.", match[2])
        return f"schemes.0.routers.{match[1]}.{_ROUTER_RULES.get(part, part)}"
    for theirs, ours in _QUERIES.items():
        if name.startswith(theirs):
            return name.replace(theirs, ours, 1)
    return rename_family(name, decoder_layers)
