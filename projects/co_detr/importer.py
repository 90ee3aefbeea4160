"""Checkpoints of the released Co-DETR code (https://github.com/Sense-X/Co-DETR): Co-Deformable-DETR
and Co-DINO, with what only training uses.

They hold weights and a config as text, which nobody runs: names and shapes tell the architecture,
and the options of the conversion what cannot be seen in them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.checkpoint.files import read_checkpoint
from hdetr_d2.checkpoint.importers import Arguments, Imported, Importer
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.deformable_detr_names import LABEL_TABLE, rename
from hdetr_d2.checkpoint.importers.deformable_detr_names import unneeded as repeated
from hdetr_d2.checkpoint.importers.deformable_detr_sizes import neck_options, transformer_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.errors import UserError
from hdetr_d2.projects.co_detr.importer_names import (
    COLLABORATORS,
    family_name,
    split_collaborators,
)

_CONFIGS = "projects/co_detr/configs"
_DEFORMABLE = f"{_CONFIGS}/co_deformable_detr_r50_12ep.py"
_DINO = f"{_CONFIGS}/co_dino_5scale_r50_12ep.py"


class CoDETRImporter(Importer):
    """Reads what the release saves: {"state_dict": ..., "meta": ...}."""

    name = "co-detr"
    defaults = {
        "nheads": 8,
        "dilation": False,
        "drop_path_rate": 0.2,
        "lambda_2": 2.0,
        "max_per_img": None,  # what the recipe has
        "num_dn_queries": 100,
        "dn_box_noise_scale": 1.0,
        "classes": None,  # the file's
    }

    def load(self, path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Importer.load`. The file may tell the names of the classes."""
        content = read_checkpoint(path)
        meta = content.get("meta")
        classes = meta.get("CLASSES") if isinstance(meta, dict) else None
        return content["model"], {"classes": list(classes)} if classes else {}

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        dino = "query_head.label_embedding.weight" in weights
        place = int(dino)  # Co-DINO has the denoising in front
        own, rest = split_collaborators(weights, f"schemes.{place}.")
        features = len({name.split(".")[2] for name in rest if name.startswith("neck.convs.")})
        theirs = {family_name(name, features): name for name in rest}
        family = {name: rest[theirs[name]] for name in theirs}
        unneeded = _unneeded(family)
        layers = count_layers(family, "decoder")
        renamed = {rename(k, layers): v for k, v in family.items() if k not in unneeded}
        if dino:  # behind the classes, a row that nothing looks up
            renamed[LABEL_TABLE] = F.pad(renamed[LABEL_TABLE], (0, 0, 0, 1))
        classes = len(needed(family, "class_embed.0.bias"))
        return Imported(
            recipe=_DINO if dino else _DEFORMABLE,
            options={
                "data.num_classes": classes,
                **_architecture(arguments, family),
                **_training(arguments, layers, place),
            },
            weights=own | renamed,
            left_out={theirs[name]: reason for name, reason in unneeded.items()},
            objectness_heads=() if dino else ("query_selection.",),
            label_tables=(LABEL_TABLE,) if dino else (),
            class_names=_class_names(arguments, classes),
        )


def _unneeded(family: Mapping[str, Tensor]) -> dict[str, str]:
    """Names that hold nothing of a model -> why."""
    counters = [name for name in family if name.endswith(".num_batches_tracked")]
    return repeated(family, shared_heads=False) | dict.fromkeys(
        counters, "counts the batches of a norm that is constant here"
    )


def _architecture(arguments: Arguments, family: Mapping[str, Tensor]) -> dict[str, Any]:
    table = "transformer.tgt_embed.weight"
    queries = needed(family, table if table in family else "query_embed.weight")
    return {
        **backbone_options(family, arguments),
        **neck_options(family, arguments),
        "model.neck.bias": "input_proj.0.0.bias" in family,
        **transformer_options(family, arguments),
        "model.query_selection.num_queries": len(queries),
    }


def _training(arguments: Arguments, layers: int, place: int) -> dict[str, Any]:
    """What belongs to the schemes, of which that of the heads is at `place`."""
    weight = arguments["lambda_2"] * layers
    options: dict[str, Any] = {
        f"model.schemes.{place}.collaborators.{head}.head.weight": weight for head in COLLABORATORS
    }
    if place:
        number = arguments["num_dn_queries"]
        options["model.schemes.0.groups"] = number
        options["model.schemes.0.max_queries"] = 2 * number  # pairs of a positive and a negative
        options["model.schemes.0.box_noise.scale"] = arguments["dn_box_noise_scale"]
    if arguments["max_per_img"] is not None:
        options["model.num_select"] = arguments["max_per_img"]
    return options


def _class_names(arguments: Arguments, number: int) -> list[str]:
    """Those of the file, if there are any.

    Raises:
        UserError: they are not the names of that many classes.
    """
    names = arguments["classes"] or []
    plain = all(isinstance(name, str) and "${" not in name for name in names)
    if names and not (plain and len(names) == number):
        raise UserError(f"classes={names} are not the names of the {number} classes of the weights")
    return [*names]


importer = CoDETRImporter()
