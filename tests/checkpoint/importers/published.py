"""Random weights with the names and shapes of the published Deformable-DETR family."""

from collections.abc import Iterator

import timm
import torch
import torchvision
from torch import Tensor

CHANNELS = {"resnet50": [512, 1024, 2048], "swin_tiny": [192, 384, 768]}


def state_dict(
    *,
    dim: int = 32,
    heads: int = 4,
    levels: int = 4,
    points: tuple[int, int] = (2, 2),
    layers: tuple[int, int] = (1, 2),
    feedforward: int = 48,
    classes: int = 5,
    queries: int = 12,
    refine: bool = False,
    two_stage: bool = False,
    mixed: bool = False,
    backbone: str = "resnet50",
) -> dict[str, Tensor]:
    """Of a model with so many learned `queries` in all; points and layers of encoder, decoder."""
    entries: dict[str, Tensor] = {"transformer.level_embed": torch.randn(levels, dim)}
    for stack, number, samples in zip(("encoder", "decoder"), layers, points, strict=True):
        for layer in range(number):
            prefix = f"transformer.{stack}.layers.{layer}."
            entries |= _layer(prefix, stack, dim, feedforward, heads * levels, samples)
    if two_stage:
        entries |= linear("transformer.enc_output.", dim, dim)
        entries |= linear("transformer.pos_trans.", 2 * dim, 2 * dim)
        entries |= norm("transformer.enc_output_norm.", dim)
        entries |= norm("transformer.pos_trans_norm.", 2 * dim)
    else:
        entries |= linear("transformer.reference_points.", 2, dim)
    if mixed or not two_stage:
        width = dim if two_stage else 2 * dim
        entries["query_embed.weight"] = torch.randn(queries, width)
    entries |= _heads(dim, classes, layers[1] + two_stage, refine=refine, two_stage=two_stage)
    entries |= _neck(CHANNELS[backbone] if levels > 1 else CHANNELS[backbone][-1:], dim, levels)
    return entries | backbone_weights(backbone)


def dino_state_dict(
    *,
    levels: int = 4,
    shared: bool = True,
    queries: int = 12,
    label_rows: int = 6,
    swin: bool = False,
) -> dict[str, Tensor]:
    """Of a DINO with the other sizes of `state_dict`; a Swin-T has no "body" there."""
    dim, classes, layers = 32, 5, (1, 2)
    entries = state_dict(layers=layers, levels=levels, refine=not shared)
    entries = {
        key: value
        for key, value in entries.items()
        if not key.startswith(("transformer.reference_points.", "query_embed.", "input_proj."))
    }
    heads = {key: value for key, value in entries.items() if "_embed." in key[:12]}
    entries |= {f"transformer.decoder.{key}": value for key, value in heads.items()}
    for prefix, out, into in (
        ("enc_output.", dim, dim),
        ("enc_out_class_embed.", classes, dim),
        ("enc_out_bbox_embed.layers.0.", dim, dim),
        ("enc_out_bbox_embed.layers.1.", dim, dim),
        ("enc_out_bbox_embed.layers.2.", 4, dim),
        ("decoder.ref_point_head.layers.0.", dim, 2 * dim),
        ("decoder.ref_point_head.layers.1.", dim, dim),
    ):
        entries |= linear(f"transformer.{prefix}", out, into)
    entries |= norm("transformer.enc_output_norm.", dim) | norm("transformer.decoder.norm.", dim)
    entries["transformer.tgt_embed.weight"] = torch.randn(queries, dim)
    entries["label_enc.weight"] = torch.randn(label_rows, dim)
    channels = [96, 192, 384, 768] if swin else [256, 512, 1024, 2048]
    entries |= _neck(channels[5 - levels :], dim, levels)
    if not swin:
        return entries
    others = {key: value for key, value in entries.items() if not key.startswith("backbone.")}
    return others | {f"backbone.0.{key}": value for key, value in _swin(channels[5 - levels :])}


def backbone_weights(name: str) -> dict[str, Tensor]:
    return {f"backbone.0.body.{k}": v for k, v in _backbone(name)}


def linear(prefix: str, out: int, into: int) -> dict[str, Tensor]:
    weight = torch.randn(out, into) / into**0.5
    return {f"{prefix}weight": weight, f"{prefix}bias": 0.1 * torch.randn(out)}


def norm(prefix: str, dim: int) -> dict[str, Tensor]:
    return {f"{prefix}weight": torch.ones(dim), f"{prefix}bias": 0.1 * torch.randn(dim)}


def _layer(
    prefix: str, stack: str, dim: int, feedforward: int, heads_times_levels: int, points: int
) -> dict[str, Tensor]:
    attention = f"{prefix}{'self' if stack == 'encoder' else 'cross'}_attn."
    samples = heads_times_levels * points
    entries = {}
    for name, out in {
        "sampling_offsets": 2 * samples,
        "attention_weights": samples,
        "value_proj": dim,
        "output_proj": dim,
    }.items():
        entries |= linear(f"{attention}{name}.", out, dim)
    entries |= linear(f"{prefix}linear1.", feedforward, dim)
    entries |= linear(f"{prefix}linear2.", dim, feedforward)
    for place in ("norm1.", "norm2.") + (("norm3.",) if stack == "decoder" else ()):
        entries |= norm(f"{prefix}{place}", dim)
    if stack == "decoder":
        in_proj = linear("in_proj_", 3 * dim, dim)
        entries |= {f"{prefix}self_attn.{name}": value for name, value in in_proj.items()}
        entries |= linear(f"{prefix}self_attn.out_proj.", dim, dim)
    return entries


def _heads(
    dim: int, classes: int, number: int, *, refine: bool, two_stage: bool
) -> dict[str, Tensor]:
    """As the modules are listed: again in the decoder if it uses them, one storage if shared."""

    def pair() -> dict[str, dict[str, Tensor]]:
        box = {}
        for layer, out in enumerate((dim, dim, 4)):
            box |= linear(f"layers.{layer}.", out, dim)
        return {"class_embed": linear("", classes, dim), "bbox_embed": box}

    pairs = [pair() for _ in range(number)] if refine else [pair()] * number
    entries = {}
    for layer, kinds in enumerate(pairs):
        for kind, head in kinds.items():
            for name, value in head.items():
                entries[f"{kind}.{layer}.{name}"] = value
                if refine and (kind == "bbox_embed" or two_stage):
                    entries[f"transformer.decoder.{kind}.{layer}.{name}"] = value
    return entries


def _neck(channels: list[int], dim: int, levels: int) -> dict[str, Tensor]:
    convs = [(width, 1) for width in channels]
    convs += [(width, 3) for width in ([channels[-1]] + [dim] * levels)[: levels - len(channels)]]
    entries = {}
    for level, (width, side) in enumerate(convs):
        conv = {"weight": torch.randn(dim, width, side, side) / width**0.5, "bias": torch.ones(dim)}
        entries |= {f"input_proj.{level}.0.{name}": value for name, value in conv.items()}
        entries |= norm(f"input_proj.{level}.1.", dim)
    return entries


def _backbone(name: str) -> Iterator[tuple[str, Tensor]]:
    if name == "swin_tiny":
        yield from _swin(CHANNELS[name])
        return
    for key, value in torchvision.models.resnet50().state_dict().items():
        if not key.startswith("fc.") and not key.endswith("num_batches_tracked"):
            yield key, value


def _swin(channels: list[int]) -> Iterator[tuple[str, Tensor]]:
    """A Swin-T as its authors name it, with norms of the last stages: a merging of patches belongs
    to the stage before it.
    """
    with torch.device("meta"):
        net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0)
    for key, value in net.state_dict().items():
        first, _, rest = key.partition(".downsample.")
        if rest:
            key = f"layers.{int(first.removeprefix('layers.')) - 1}.downsample.{rest}"
        if not key.startswith("norm."):
            yield key, torch.randn(value.shape) * 0.02
        if key.endswith("relative_position_bias_table"):
            index = key.replace("bias_table", "index")
            yield index, torch.zeros(49, 49, dtype=torch.int64)
    for place, width in enumerate(channels, start=4 - len(channels)):
        yield from norm(f"norm{place}.", width).items()
