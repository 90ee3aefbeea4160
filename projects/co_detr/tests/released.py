"""Weights with the names and shapes of other released models, made of the recorded ones."""

from collections.abc import Sequence

import published
import torch
from torch import Tensor

_HEADS, _LEVELS = 8, 5
_ONLY_DEFORMABLE = (
    "query_head.query_embedding.",
    "query_head.transformer.pos_trans",
    "query_head.transformer.head_pos_embed.",
    "query_head.transformer.pos_feats_",
)


def empty(shape: Sequence[int]) -> Tensor:
    """Zeros that take no room, in a file neither."""
    return torch.zeros(()).expand(tuple(shape))


def co_dino(weights: dict[str, Tensor], classes: int = 80) -> dict[str, Tensor]:
    """Co-DINO R50 of five levels, from Co-Deformable-DETR of four."""
    kept = {n: v for n, v in weights.items() if not n.startswith(_ONLY_DEFORMABLE)}
    return {n: _five_levels(n, v) for n, v in kept.items()} | {
        "query_head.label_embedding.weight": torch.randn(classes, 256),
        "query_head.transformer.query_embed.weight": empty([30, 256]),
        "query_head.transformer.decoder.ref_point_head.0.weight": empty([256, 512]),
        "query_head.transformer.decoder.ref_point_head.0.bias": empty([256]),
        "query_head.transformer.decoder.ref_point_head.2.weight": empty([256, 256]),
        "query_head.transformer.decoder.ref_point_head.2.bias": empty([256]),
        **published.norm("query_head.transformer.decoder.norm.", 256),
        **_neck([256, 512, 1024, 2048]),
        "bbox_head.0.scales.5.scale": torch.ones(()),
    }


def swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same on a Swin-T."""
    rest = {n: v for n, v in weights.items() if not n.startswith(("backbone.", "neck."))}
    channels = [96, 192, 384, 768]
    own = published.dino_state_dict(levels=5, swin=True)
    backbone = {n.removeprefix("backbone.0."): v for n, v in own.items() if "backbone.0." in n}
    return rest | _neck(channels) | {f"backbone.{n}": v for n, v in backbone.items()}


def _five_levels(name: str, value: Tensor) -> Tensor:
    if name.endswith("level_embeds"):
        return empty([_LEVELS, 256])
    if ".sampling_offsets." in name or ".attention_weights." in name:
        samples = _HEADS * _LEVELS * 4 * (2 if ".sampling_offsets." in name else 1)
        return empty([samples, *value.shape[1:]])
    if ".aux_pos_trans." in name or ".aux_pos_trans_norm." in name:
        return value[:256]
    return value


def _neck(channels: list[int]) -> dict[str, Tensor]:
    entries = {}
    for level, width in enumerate(channels):
        entries[f"neck.convs.{level}.conv.weight"] = empty([256, width, 1, 1])
        entries |= published.norm(f"neck.convs.{level}.gn.", 256)
    entries["neck.extra_convs.0.conv.weight"] = empty([256, channels[-1], 3, 3])
    return entries | published.norm("neck.extra_convs.0.gn.", 256)
