"""Checkpoints of Deformable-DETR and H-Deformable-DETR, as saved by their training scripts.

https://arxiv.org/abs/2010.04159 and https://arxiv.org/abs/2207.13080. The architecture is derived
from names and shapes of the weights, the rest from the arguments.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers import resizing
from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.deformable_detr_names import rename, unneeded
from hdetr_d2.checkpoint.importers.deformable_detr_queries import (
    BRANCH,
    count_queries,
    query_options,
    split_slots,
)
from hdetr_d2.checkpoint.importers.deformable_detr_sizes import (
    TOLD_BY_WEIGHTS,
    neck_options,
    transformer_options,
)
from hdetr_d2.checkpoint.importers.training import TRAINING_OPTIONS, training_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed

_RECIPES = {  # two-stage, with box refinement
    (False, False): "deformable_detr/deformable_detr_r50_50ep.py",
    (False, True): "deformable_detr/deformable_detr_refine_r50_50ep.py",
    (True, True): "deformable_detr/deformable_detr_two_stage_r50_50ep.py",
}
_OPTIONS = TRAINING_OPTIONS | {"topk": "model.postprocessing.num_select"}
# The scripts' defaults, which are also those of the recipes.
_DEFAULTS = {
    "dropout": 0.1,
    "focal_alpha": 0.25,
    "set_cost_class": 2.0,
    "set_cost_bbox": 5.0,
    "set_cost_giou": 2.0,
    "cls_loss_coef": 2.0,
    "bbox_loss_coef": 5.0,
    "giou_loss_coef": 2.0,
    "topk": 100,
    "lr": 2e-4,
    "weight_decay": 1e-4,
    "clip_max_norm": 0.1,
    "epochs": 50,
    "nheads": 8,
    "dilation": False,
    "drop_path_rate": 0.2,
    "lr_drop": 40,
    "with_box_refine": False,
    "two_stage": None,
    **TOLD_BY_WEIGHTS,
}


class DeformableDETRImporter(Importer):
    """Reads the format shared by both scripts.

    Args:
        name: of the source.
        num_queries: the argument for the queries of the main group, and its default.
        further: arguments that only this script has, with their defaults.
    """

    def __init__(
        self, *, name: str, num_queries: tuple[str, int], further: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.num_queries = num_queries[0]
        self.defaults = _DEFAULTS | dict([num_queries]) | dict(further or {})

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        two_stage = arguments.told("two_stage", "transformer.enc_output.weight" in weights)
        refine = _refines(arguments, weights, two_stage=two_stage)
        options = _architecture(arguments, weights, two_stage=two_stage, refine=refine)
        table = weights.get("query_embed.weight")
        rows = None if table is None else len(table)
        queries = count_queries(arguments, self.num_queries, rows)
        left_out = unneeded(weights, shared_heads=not refine)
        layers = count_layers(weights, "decoder")
        renamed = {rename(k, layers): v for k, v in weights.items() if k not in left_out}
        return Imported(
            recipe=_RECIPES[two_stage, refine],
            options=options
            | resizing.DETR
            | query_options(arguments, *queries)
            | training_options(arguments, _OPTIONS),
            weights=split_slots(renamed, *queries),
            left_out=left_out,
            objectness_heads=("query_selection.",),
        )


def _refines(arguments: Arguments, weights: Mapping[str, Tensor], *, two_stage: bool) -> bool:
    """Whether every layer has its own heads: only then does the decoder list them as well."""
    if two_stage or any(name.startswith("transformer.decoder.bbox_embed.") for name in weights):
        return arguments.told("with_box_refine", True)
    return arguments["with_box_refine"]


def _architecture(
    arguments: Arguments, weights: Mapping[str, Tensor], *, two_stage: bool, refine: bool
) -> dict[str, Any]:
    """All options except those of the queries."""
    options = {
        "data.num_classes": len(needed(weights, "class_embed.0.bias")),
        **backbone_options(weights, arguments),
        **neck_options(weights, arguments),
        **transformer_options(weights, arguments),
    }
    if two_stage:
        mixed = arguments.told("mixed_selection", "query_embed.weight" in weights)
        options["model.query_selection.mixed_selection"] = mixed
    if "look_forward_twice" in arguments and refine:
        options["model.decoder.look_forward_twice"] = arguments["look_forward_twice"]
    return options


DEFORMABLE_DETR = DeformableDETRImporter(name="deformable-detr", num_queries=("num_queries", 300))
H_DEFORMABLE_DETR = DeformableDETRImporter(
    name="h-deformable-detr",
    num_queries=("num_queries_one2one", 300),
    further={
        BRANCH: 0,
        "k_one2many": 5,
        "lambda_one2many": 1.0,
        "mixed_selection": None,
        "look_forward_twice": False,
    },
)
