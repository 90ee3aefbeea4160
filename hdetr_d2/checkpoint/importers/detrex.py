"""Checkpoints of detrex (https://github.com/IDEA-Research/detrex): DINO, H-Deformable-DETR,
Deformable-DETR and DETR, as saved by Detectron2's checkpointer.

They contain weights but no arguments. Each is read like a checkpoint of the method's own script,
with arguments for what detrex does differently.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.checkpoint.importers import resizing
from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.classes import checked_names, coco_names
from hdetr_d2.checkpoint.importers.deformable_detr import DEFORMABLE_DETR, H_DEFORMABLE_DETR
from hdetr_d2.checkpoint.importers.detr import DETR
from hdetr_d2.checkpoint.importers.detrex_names import deformable_names, detr_names
from hdetr_d2.checkpoint.importers.dino import DINO, denoising
from hdetr_d2.checkpoint.importers.vitdet import POSITIONS, without_class_token
from hdetr_d2.errors import UserError

# The first convolution of a ResNet, a Swin, a ConvNeXt, a FocalNet and a ViTDet.
_STEMS = [
    f"backbone.0.body.{name}.weight"
    for name in ("conv1", "patch_embed.proj", "stem_0", "stem.proj")
] + ["backbone.net.patch_embed.proj.weight"]
_LABELS = "label_enc.weight"
# detrex's configs differ in these.
_CLASS_WEIGHTS = {"dino": 1.0, "h-deformable-detr": 2.0, "deformable-detr": 1.0, "detr": 1.0}
_DROPOUT = {"dino": 0.0, "h-deformable-detr": 0.0, "deformable-detr": 0.1, "detr": 0.1}
_HYBRID = {"num_queries_one2one": 300, "k_one2many": 6, "lambda_one2many": 1.0}
_TRAINING = {"lr": 1e-4, "weight_decay": 1e-4}


class DetrexImporter(Importer):
    """Reads weights under detrex's names, with backbones of Detectron2, detrex and torchvision."""

    name = "detrex"
    # From its configs, under their names.
    defaults = {
        **_HYBRID,
        **_TRAINING,
        "num_heads": 8,
        "num_queries": None,  # 300 if the weights do not imply it
        "dn_number": 100,
        "label_noise_ratio": 0.5,
        "box_noise_scale": 1.0,
        "loss_class": None,
        "select_box_nums_for_evaluation": 300,
        "freeze_at": 1,
        "stride_in_1x1": False,
        "dilation": False,
        "drop_path_rate": 0.2,
        "input_format": "RGB",
        "pixel_mean": [123.675, 116.28, 103.53],
        "pixel_std": [58.395, 57.12, 57.375],
        "classes": None,  # names; COCO's if there are 80
    }

    def load(
        self, path: str | Path, weights: str | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Importer.load`. The rest of the file does not describe the model."""
        return super().load(path, weights)[0], {}

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        source = _source(arguments, weights)
        names = detr_names(weights) if source is DETR else deformable_names(weights)
        theirs = {ours: name for name, ours in names.items()}
        renamed = {names[name]: _shaped(names[name], value) for name, value in weights.items()}
        colours = _in_rgb(arguments, renamed)
        stated = _stated(arguments, source)
        # After the classes, a row that is never looked up
        if source is DINO and _LABELS in renamed:
            renamed[_LABELS] = F.pad(renamed[_LABELS], (0, 0, 0, 1))
        imported = source.read(Arguments(source.defaults, stated, {}), renamed)
        number = imported.options["data.num_classes"]
        classes = arguments["classes"]
        return replace(
            imported,
            options=imported.options | _differences(arguments, source, renamed) | colours,
            left_out={theirs[name]: why for name, why in imported.left_out.items()},
            class_names=checked_names(classes, number) if classes else coco_names(number),
        )


def _source(arguments: Arguments, weights: Mapping[str, Tensor]) -> Importer:
    """The importer of the method's own script."""
    if "input_proj.weight" in weights:
        return DETR
    if "transformer.decoder.ref_point_head.layers.0.weight" in weights and _LABELS in weights:
        return DINO
    if "transformer.level_embeds" not in weights:
        raise UserError(
            "the file is none of detrex's DINO, H-Deformable-DETR, Deformable-DETR and DETR: "
            "it has no transformer.level_embeds and no input_proj.weight"
        )
    mixed = "query_embedding.weight" in weights and "transformer.pos_trans.weight" in weights
    hybrid = mixed or "num_queries_one2one" in arguments.stated
    return H_DEFORMABLE_DETR if hybrid else DEFORMABLE_DETR


def _stated(arguments: Arguments, source: Importer) -> dict[str, Any]:
    """The arguments for the method's own script."""
    weight = arguments["loss_class"]
    stated = {
        **{name: arguments[name] for name in _TRAINING},
        "nheads": arguments["num_heads"],
        "dilation": arguments["dilation"],
        "dropout": _DROPOUT[source.name],
    }
    if source is DETR:
        return stated
    stated |= {
        "cls_loss_coef": _CLASS_WEIGHTS[source.name] if weight is None else float(weight),
        "drop_path_rate": arguments["drop_path_rate"],
    }
    most = arguments["select_box_nums_for_evaluation"]
    if source is DINO:
        return stated | {
            "num_select": most,
            "dec_pred_class_embed_share": False,
            "dec_pred_bbox_embed_share": False,
            "pe_temperatureH": 10000.0,
            "pe_temperatureW": 10000.0,
            "use_dn": arguments["dn_number"] > 0,
        }
    stated["topk"] = most
    if arguments["num_queries"] is not None:
        stated["num_queries"] = arguments["num_queries"]
    if source is H_DEFORMABLE_DETR:
        stated |= {name: arguments[name] for name in _HYBRID} | {"look_forward_twice": True}
    return stated


def _differences(
    arguments: Arguments, source: Importer, weights: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Options for which the method's own script has no argument."""
    options: dict[str, Any] = {
        "model.preprocessing.pixel_mean": arguments["pixel_mean"],
        "model.preprocessing.pixel_std": arguments["pixel_std"],
        **resizing.DETECTRON2,
    }
    if "backbone.0.body.layer1.0.conv1.weight" in weights:
        options["model.backbone.frozen"] = max(arguments["freeze_at"], 0)
        options["model.backbone.stride_in_1x1"] = arguments["stride_in_1x1"]
    if source is not DETR:
        options["model.decoder.eps"] = 1e-3
    if source is DINO:
        options["model.encoder.position.offset"] = -0.5
        if arguments["dn_number"] > 0:
            options["model.schemes"] = [
                denoising(
                    groups=arguments["dn_number"],
                    max_queries=2 * arguments["dn_number"],
                    box_noise=arguments["box_noise_scale"],
                    label_noise=arguments["label_noise_ratio"] / 2,
                )
            ]
    return options


def _shaped(name: str, value: Tensor) -> Tensor:
    """A FocalNet's linear layers as the 1x1 convolutions used here, and a ViTDet's positions as a
    map.
    """
    if name == POSITIONS:
        return without_class_token(value)
    linear = name.startswith("backbone.0.body.layers_") and value.dim() == 2
    return value[..., None, None] if linear else value


def _in_rgb(arguments: Arguments, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Converts the first convolution to RGB, which all models here use, along with mean and
    standard deviation.

    Raises:
        UserError: a format other than RGB and BGR.
    """
    order = arguments["input_format"]
    if order not in ("RGB", "BGR"):
        raise UserError(f"input_format={order} must be RGB or BGR")
    if order == "RGB":
        return {}
    for stem in set(_STEMS).intersection(weights):
        weights[stem] = weights[stem].flip(1)
    keys = ("pixel_mean", "pixel_std")
    return {f"model.preprocessing.{key}": arguments[key][::-1] for key in keys}


DETREX = DetrexImporter()
