"""Weights and losses of the published Deformable-DETR family under this project's names."""

import re

import torch
from torch import Tensor

from hdetr_d2.checkpoint.importers.deformable_detr_names import rename as rename_one
from hdetr_d2.checkpoint.importers.deformable_detr_queries import split_slots


def rename(state: dict[str, Tensor], decoder_layers: int, main_queries: int) -> dict[str, Tensor]:
    """The weights under this project's names. Heads that a reference lists twice are kept once; the
    learned queries behind the main ones are those of the hybrid branch.
    """
    renamed = {
        rename_one(name, decoder_layers): value
        for name, value in state.items()
        if not (name.startswith("transformer.decoder.") and "_embed." in name)
    }
    return split_slots(renamed, main_queries, len(state["query_embed.weight"]) - main_queries)


def rename_loss(name: str) -> str:
    """`loss_ce_0_one2many` is `loss_class_one2many_0` here."""
    name = name.replace("loss_ce", "loss_class")
    return re.sub(r"(_\d+)_one2many$", r"_one2many\1", name)


def total_norm(gradients: list[Tensor]) -> float:
    return torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients])).item()
