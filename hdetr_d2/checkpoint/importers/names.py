"""Translates parameter names common to DETR and its successors to this project's."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

Rule: TypeAlias = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern and its replacement."""

_LAYER = r"^transformer\.(encoder|decoder)\.layers\.(\d+)\."

SHARED: Sequence[Rule] = [
    # A Swin, without `body` in DINO; timm assigns patch merging to the stage after it.
    (
        r"^backbone\.0\.(?:body\.)?layers\.(\d+)\.downsample\.",
        lambda m: f"backbone.net.layers_{int(m[1]) + 1}.downsample.",
    ),
    (r"^backbone\.0\.(?:body\.)?layers\.(\d+)\.", r"backbone.net.layers_\1."),
    (r"^backbone\.0\.(?:body\.)?norm(\d+)\.", lambda m: f"backbone.norms.res{int(m[1]) + 2}."),
    (r"^backbone\.0\.(?:body\.)?", "backbone.net."),
    (_LAYER + "linear", r"\1.layers.\2.feed_forward.linear"),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm1\.", r"encoder.layers.\1.norm."),
    (r"^transformer\.encoder\.layers\.(\d+)\.norm2\.", r"encoder.layers.\1.feed_forward.norm."),
    (r"^transformer\.decoder\.layers\.(\d+)\.norm3\.", r"decoder.layers.\1.feed_forward.norm."),
    (
        r"^transformer\.decoder\.layers\.(\d+)\.self_attn\.in_proj_",
        r"decoder.layers.\1.self_attention.in_proj.",
    ),
    (r"^transformer\.decoder\.layers\.(\d+)\.self_attn\.", r"decoder.layers.\1.self_attention."),
    (r"^query_embed\.weight$", "query_selection.slots.table"),
]


def rename_by(rules: Sequence[Rule], name: str) -> str:
    """The name after the first matching rule; the same name if none matches."""
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def listed_once(name: str, names: Collection[str]) -> str:
    """The name of a head's parameter, which the transformer's decoder lists too; without the
    decoder if nothing else lists the head, as in a moving average.
    """
    head = name.removeprefix("transformer.decoder.")
    return head if head.startswith(("class_embed.", "bbox_embed.")) and head not in names else name


def in_mlp(parameter: str) -> str:
    """A parameter's name in an MLP, which here counts its activations as layers."""
    return re.sub(r"^layers\.(\d+)", lambda m: str(2 * int(m[1])), parameter)


def head_name(owner: str, kind: str, layer: int, parameter: str) -> str:
    """A parameter's name in a "class" or "bbox" head of `owner`."""
    owner_of_heads = f"{owner}.heads.{'class' if kind == 'class' else 'box'}_heads"
    return f"{owner_of_heads}.{layer}.{in_mlp(parameter)}"
