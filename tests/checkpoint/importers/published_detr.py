"""Random weights with the names and shapes of the published DETR."""

from itertools import pairwise

import torch
from published import backbone_weights, linear, norm
from torch import Tensor


def state_dict(
    *,
    dim: int = 32,
    layers: tuple[int, int] = (1, 2),
    feedforward: int = 48,
    classes: int = 5,
    queries: int = 12,
    pre_norm: bool = False,
    learned: int = 0,
    mask_heads: int = 0,
) -> dict[str, Tensor]:
    """Of an R50 with so many encoder and decoder `layers`; `learned` rows and columns have a
    position; a mask model's head has `mask_heads` attention maps.
    """
    entries = {"query_embed.weight": torch.randn(queries, dim)}
    for stack, number in zip(("encoder", "decoder"), layers, strict=True):
        for layer in range(number):
            entries |= _layer(f"transformer.{stack}.layers.{layer}.", stack, dim, feedforward)
    entries |= norm("transformer.decoder.norm.", dim)
    if pre_norm:
        entries |= norm("transformer.encoder.norm.", dim)
    if learned:
        entries |= {
            f"backbone.1.{name}_embed.weight": torch.rand(learned, dim // 2)
            for name in ("row", "col")
        }
    entries |= linear("class_embed.", classes + 1, dim)
    for layer, out in enumerate((dim, dim, 4)):
        entries |= linear(f"bbox_embed.layers.{layer}.", out, dim)
    entries |= _conv("input_proj.", dim, 2048, 1)
    entries |= backbone_weights("resnet50")
    if not mask_heads:
        return entries
    return {f"detr.{name}": value for name, value in entries.items()} | _masks(dim, mask_heads)


def _masks(dim: int, heads: int) -> dict[str, Tensor]:
    entries = linear("bbox_attention.q_linear.", dim, dim)
    entries |= linear("bbox_attention.k_linear.", dim, dim)
    widths = [dim + heads, dim + heads, *(dim >> step for step in range(1, 5))]
    for place, (into, out) in enumerate(pairwise(widths), 1):
        entries |= _conv(f"mask_head.lay{place}.", out, into, 3)
        entries |= norm(f"mask_head.gn{place}.", out)
    for place, channels in enumerate((1024, 512, 256), 1):
        entries |= _conv(f"mask_head.adapter{place}.", widths[place + 1], channels, 1)
    return entries | _conv("mask_head.out_lay.", 1, widths[-1], 3)


def _conv(prefix: str, out: int, into: int, side: int) -> dict[str, Tensor]:
    weight = torch.randn(out, into, side, side) / (into * side**2) ** 0.5
    return {f"{prefix}weight": weight, f"{prefix}bias": torch.zeros(out)}


def _layer(prefix: str, stack: str, dim: int, feedforward: int) -> dict[str, Tensor]:
    attentions = ["self_attn."] + ["multihead_attn."] * (stack == "decoder")
    entries = {}
    for attention in attentions:
        entries |= linear(f"{prefix}{attention}in_proj_", 3 * dim, dim)
        entries |= linear(f"{prefix}{attention}out_proj.", dim, dim)
    entries |= linear(f"{prefix}linear1.", feedforward, dim)
    entries |= linear(f"{prefix}linear2.", dim, feedforward)
    for place in range(len(attentions) + 1):
        entries |= norm(f"{prefix}norm{place + 1}.", dim)
    return entries
