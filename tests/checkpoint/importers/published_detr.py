"""Random weights with the names and shapes of the published DETR."""

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
) -> dict[str, Tensor]:
    """Of an R50 with so many encoder and decoder `layers`; `learned` rows and columns have a
    position.
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
    conv = {"weight": torch.randn(dim, 2048, 1, 1) / 2048**0.5, "bias": torch.ones(dim)}
    entries |= {f"input_proj.{name}": value for name, value in conv.items()}
    return entries | backbone_weights("resnet50")


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
