"""The plain vision transformer of ViTDet and its pyramid, under Detectron2's names: its options,
and its names here.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.names import Rule
from hdetr_d2.checkpoint.importers.weights import needed
from hdetr_d2.errors import UserError

POSITIONS = "backbone.net.pos_embed"
_RELATIVE = "backbone.net.blocks.{}.attn.rel_pos_h"
_BLOCK = re.compile(r"^backbone\.net\.blocks\.(\d+)\.")
_LEVEL = re.compile(r"^neck\.mapper\.projections\.\d+\.0\.weight$")
# Channels and blocks -> timm's model of the same form.
_MODELS = {(768, 12): "samvit_base_patch16", (1024, 24): "samvit_large_patch16"}

VITDET_NAMES: Sequence[Rule] = [
    (
        r"^backbone\.simfp_(\d)\.(\d)\.(norm\.)?",
        lambda m: f"neck.levels.{int(m[1]) - 3}.{_place(int(m[1]), int(m[2]), bool(m[3]))}.",
    ),
    (r"^neck\.convs\.(\d+)\.conv\.", r"neck.mapper.projections.\1.0."),
    (r"^neck\.convs\.(\d+)\.norm\.", r"neck.mapper.projections.\1.1."),
]


def is_vitdet(names: Collection[str]) -> bool:
    """Whether the backbone is one, by names in a file or in a model here, which are the same."""
    return _RELATIVE.format(0) in names


def vitdet_options(weights: Mapping[str, Tensor], drop_path_rate: float) -> dict[str, Any]:
    """The options of backbone and neck, derived from weights under their names here.

    Raises:
        UserError: it is not a known model.
    """
    width = needed(weights, POSITIONS).shape[-1]
    blocks = {int(match[1]) for name in weights if (match := _BLOCK.match(name))}
    name = _MODELS.get((width, len(blocks)))
    if name is None:
        raise UserError(
            f"the ViT of the file, with {width} channels and {len(blocks)} blocks, is none of the "
            f"form of {', '.join(_MODELS.values())}"
        )
    # A table has 2 n - 1 rows for n patches: within a window, or along the largest image.
    most = max(len(needed(weights, _RELATIVE.format(block))) for block in blocks)
    patch = needed(weights, "backbone.net.patch_embed.proj.weight").shape[-1]
    return {
        "model.backbone": {
            "_target_": "hdetr_d2.modeling.ViTDet",
            "name": name,
            "positions": weights[POSITIONS].shape[1],
            "image_size": (most + 1) // 2 * patch,
            "drop_path_rate": drop_path_rate,
        },
        "model.neck": {
            "_target_": "hdetr_d2.modeling.ViTDetPyramid",
            "in_features": None,
            "out_channels": len(needed(weights, "neck.mapper.projections.0.0.bias")),
            "num_levels": len({name for name in weights if _LEVEL.match(name)}),
        },
    }


def without_class_token(positions: Tensor) -> Tensor:
    """The positions of the patches only, `Tensor[1, N, N, C]`, from `Tensor[1, N * N (+ 1), C]`."""
    side = math.isqrt(positions.shape[1])
    return positions[:, -(side**2) :].unflatten(1, (side, side))


def _place(stage: int, layer: int, norm: bool) -> int:
    """A layer's index within a level here, where the norm of a convolution is a separate layer."""
    first = 0 if stage == 4 else 1  # preceded by one that changes the resolution of the map
    return layer if layer < first else first + 2 * (layer - first) + norm
