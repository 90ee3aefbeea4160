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


def vit(weights: dict[str, Tensor], *, squares: bool = False) -> dict[str, Tensor]:
    """The same on EVA-02's ViT-L: that of COCO, or that of LVIS with images of one size."""
    rest = {n: v for n, v in weights.items() if not n.startswith(("backbone.", "neck."))}
    if not squares:
        rest = {n: v for n, v in rest.items() if ".shared_fcs.1." not in n}
        rest |= _second_stage_of_convolutions()
    return rest | _plain_transformer(*((16, 3, 96) if squares else (24, 4, None))) | _pyramid()


def _second_stage_of_convolutions() -> dict[str, Tensor]:
    head = "roi_head.0.bbox_head."
    entries = {}
    for place in range(4):
        entries[f"{head}shared_convs.{place}.conv.weight"] = empty([256, 256, 3, 3])
        entries |= published.norm(f"{head}shared_convs.{place}.gn.", 256)
    return entries | {f"{head}fc_reg.weight": empty([4, 1024]), f"{head}fc_reg.bias": empty([4])}


def _plain_transformer(window: int, every: int, whole: int | None) -> dict[str, Tensor]:
    """Windows of a side, every so many blocks one without, and the side of a map if it is known."""
    entries = {
        "backbone.pos_embed": torch.arange(1025.0)[None, :, None].expand(1, 1025, 1024),
        "backbone.patch_embed.proj.weight": empty([1024, 3, 16, 16]),
        "backbone.patch_embed.proj.bias": empty([1024]),
        **_rotary("backbone.rope_win.", window),
        **(_rotary("backbone.rope_glb.", whole) if whole else {}),
        **published.norm("backbone.out_norm.", 1024),
    }
    for block in range(24):
        prefix = f"backbone.blocks.{block}."
        entries |= published.norm(f"{prefix}norm1.", 1024)
        entries |= published.norm(f"{prefix}norm2.", 1024)
        entries |= {f"{prefix}attn.{n}_proj.weight": empty([1024, 1024]) for n in "qkv"}
        entries |= {f"{prefix}attn.{n}_bias": empty([1024]) for n in "qv"}
        entries |= _linear(f"{prefix}attn.proj.", 1024, 1024)
        entries |= _linear(f"{prefix}mlp.w1.", 2730, 1024) | _linear(f"{prefix}mlp.w2.", 2730, 1024)
        entries |= published.norm(f"{prefix}mlp.ffn_ln.", 2730)
        entries |= _linear(f"{prefix}mlp.w3.", 1024, 2730)
        if side := window if (block + 1) % every else whole:
            entries |= _rotary(f"{prefix}attn.rope.", side)
    return entries


def _rotary(prefix: str, side: int) -> dict[str, Tensor]:
    return {f"{prefix}freqs_{part}": empty([side**2, 64]) for part in ("cos", "sin")}


def _linear(prefix: str, out_channels: int, in_channels: int) -> dict[str, Tensor]:
    weight = empty([out_channels, in_channels])
    return {f"{prefix}weight": weight, f"{prefix}bias": empty([out_channels])}


# Of each level of the pyramid, its convolutions: place, channels out and in, side.
_CONVS = {
    "p2": [(1, 512, 1024, 3), (5, 256, 512, 3), (8, 256, 256, 1), (11, 256, 256, 3)],
    "p3": [(1, 512, 1024, 3), (4, 256, 512, 1), (7, 256, 256, 3)],
    "p4": [(0, 256, 1024, 1), (3, 256, 256, 3)],
    "p5": [(1, 256, 1024, 1), (4, 256, 256, 3)],
    "p6": [(1, 1024, 1024, 3), (4, 256, 1024, 1), (7, 256, 256, 3)],
}


def _pyramid() -> dict[str, Tensor]:
    entries = {}
    for level, convs in _CONVS.items():
        for place, out_channels, in_channels, side in convs:
            shape = [out_channels, in_channels, side, side]
            entries[f"neck.{level}.{place}.weight"] = empty(shape)
            entries |= published.norm(f"neck.{level}.{place + 1}.", out_channels)
    return entries


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
