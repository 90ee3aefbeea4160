"""Checkpoints of the released Co-DETR code (https://github.com/Sense-X/Co-DETR): Co-Deformable-DETR
and Co-DINO, including the parts used only in training.

They contain weights and a config as text, which is not executed: the architecture is derived from
names and shapes, the rest from the options of the conversion.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.checkpoint.files import read_checkpoint
from hdetr_d2.checkpoint.importers import (
    Arguments,
    Imported,
    Importer,
    choose_weights,
    resizing,
)
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.classes import checked_names
from hdetr_d2.checkpoint.importers.deformable_detr_names import LABEL_TABLE, rename
from hdetr_d2.checkpoint.importers.deformable_detr_names import unneeded as repeated
from hdetr_d2.checkpoint.importers.deformable_detr_sizes import neck_options, transformer_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.projects.co_detr.importer_heads import foreign_second_stage, scheme_options
from hdetr_d2.projects.co_detr.importer_names import (
    family_name,
    split_collaborators,
    unneeded,
)
from hdetr_d2.projects.co_detr.importer_vit import (
    POSITIONS,
    is_plain_transformer,
    vit_options,
    window_side,
    without_class_token,
)

_CONFIGS = "projects/co_detr/configs"
_DEFORMABLE = f"{_CONFIGS}/co_deformable_detr_r50_12ep.py"
_DINO = f"{_CONFIGS}/co_dino_5scale_r50_12ep.py"
_VIT = f"{_CONFIGS}/co_dino_5scale_vit_large_12ep.py"
_VIT_SQUARES = f"{_CONFIGS}/co_dino_5scale_lsj_vit_large_lvis_16ep.py"


class CoDETRImporter(Importer):
    """Reads the release's format: {"state_dict": ..., "meta": ...}."""

    name = "co-detr"
    defaults = {
        "nheads": 8,
        "dilation": False,
        "lambda_2": 2.0,
        "max_per_img": None,
        # By default as in the recipe, which has other values for a plain transformer.
        "drop_path_rate": 0.2,
        "num_dn_queries": 100,
        "dn_box_noise_scale": 1.0,
        "classes": None,  # those in the file
    }

    def load(
        self, path: str | Path, weights: str | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Importer.load`. The file may contain the class names."""
        content = read_checkpoint(path)
        meta = content.get("meta")
        classes = meta.get("CLASSES") if isinstance(meta, dict) else None
        told = {"classes": list(classes)} if classes else {}
        return choose_weights(content, weights, path), told

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        dino = "query_head.label_embedding.weight" in weights
        place = int(dino)  # Co-DINO has denoising first
        classes = len(needed(weights, "query_head.cls_branches.0.bias"))
        left_out = unneeded(weights) | foreign_second_stage(weights, classes)
        used = {name: value for name, value in weights.items() if name not in left_out}
        own, rest = split_collaborators(used, f"schemes.{place}.")
        features = len({name.split(".")[2] for name in rest if name.startswith("neck.convs.")})
        theirs = {family_name(name, features): name for name in rest}
        family = {name: rest[theirs[name]] for name in theirs}
        same = repeated(family, shared_heads=False)
        layers = count_layers(family, "decoder")
        renamed = {rename(k, layers): v for k, v in family.items() if k not in same}
        return Imported(
            recipe=_recipe(weights, dino=dino),
            options={
                "data.num_classes": classes,
                **_architecture(arguments, weights, family),
                **scheme_options(arguments, used, layers, place),
                **resizing.MMDETECTION,
            },
            weights=own | _with_own_rows(renamed),
            left_out=left_out | {theirs[name]: reason for name, reason in same.items()},
            objectness_heads=() if dino else ("query_selection.",),
            label_tables=(LABEL_TABLE,) if dino else (),
            class_names=checked_names(arguments["classes"] or [], classes),
        )


def _recipe(weights: Mapping[str, Tensor], *, dino: bool) -> str:
    if not is_plain_transformer(weights):
        return _DINO if dino else _DEFORMABLE
    return _VIT_SQUARES if window_side(weights) == 16 else _VIT  # the published ones have 16 and 24


def _architecture(
    arguments: Arguments, weights: Mapping[str, Tensor], family: Mapping[str, Tensor]
) -> dict[str, Any]:
    table = "transformer.tgt_embed.weight"
    queries = needed(family, table if table in family else "query_embed.weight")
    options = {
        **transformer_options(family, arguments),
        "model.query_selection.num_queries": len(queries),
    }
    if arguments["max_per_img"] is not None:
        options["model.postprocessing.num_select"] = arguments["max_per_img"]
    if is_plain_transformer(weights):
        return options | vit_options(weights, arguments)
    return {
        **options,
        **backbone_options(family, arguments),
        **neck_options(family, arguments),
        "model.neck.bias": "input_proj.0.0.bias" in family,
    }


def _with_own_rows(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Adjusts tables to their number of rows here."""
    fitted = dict(weights)
    if LABEL_TABLE in fitted:  # after the classes, a row that is never looked up
        fitted[LABEL_TABLE] = F.pad(fitted[LABEL_TABLE], (0, 0, 0, 1))
    if POSITIONS in fitted:
        fitted[POSITIONS] = without_class_token(fitted[POSITIONS])
    return fitted


importer = CoDETRImporter()
