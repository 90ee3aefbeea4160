"""Translates names of DETR's mask models (https://arxiv.org/abs/2005.12872, section 4.4) to this
project's.
"""

import re
from collections.abc import Callable

_DETECTOR = "detr."
"""Prefix of all names of the detector inside a mask model."""

_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^bbox_attention\.q_linear\.", "mask_head.attention.query."),
    (r"^bbox_attention\.k_linear\.", "mask_head.attention.key."),
    (r"^mask_head\.lay(\d)\.", lambda m: f"mask_head.convs.{int(m[1]) - 1}."),
    (r"^mask_head\.gn(\d)\.", lambda m: f"mask_head.norms.{int(m[1]) - 1}."),
    (r"^mask_head\.adapter(\d)\.", lambda m: f"mask_head.adapters.{int(m[1]) - 1}."),
    (r"^mask_head\.out_lay\.", "mask_head.output."),
]


def rename_mask_head(name: str) -> str:
    """Names of the mask head become those here; names of the detector become those of a box
    model.
    """
    for pattern, replacement in _RULES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name.removeprefix(_DETECTOR)
