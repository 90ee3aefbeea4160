"""Checkpoints of DINO (https://arxiv.org/abs/2203.03605), as saved by its training script."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers import resizing
from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.deformable_detr_names import LABEL_TABLE, rename, unneeded
from hdetr_d2.checkpoint.importers.deformable_detr_sizes import (
    TOLD_BY_WEIGHTS,
    neck_options,
    transformer_options,
)
from hdetr_d2.checkpoint.importers.training import TRAINING_OPTIONS, training_options
from hdetr_d2.checkpoint.importers.vitdet import is_vitdet, vitdet_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.errors import UserError

_OPTIONS = TRAINING_OPTIONS | {"num_select": "model.postprocessing.num_select"}
# Options of the script that all published models leave at these values.
_FIXED = {
    "decoder_sa_type": "sa",
    "decoder_module_seq": ["sa", "ca", "ffn"],
    "embed_init_tgt": True,
    "num_patterns": 0,
    "position_embedding": "sine",
    "transformer_activation": "relu",
    "two_stage_add_query_num": 0,
    "two_stage_learn_wh": False,
    "two_stage_type": "standard",
}
_DENOISING = {
    "use_dn": True,
    "dn_number": 100,
    "dn_box_noise_scale": 0.4,
    "dn_label_noise_ratio": 0.5,
}


class DINOImporter(Importer):
    """Reads 4-scale and 5-scale models."""

    name = "dino"
    # From the released configs.
    defaults = {
        **_FIXED,
        **_DENOISING,
        "dropout": 0.0,
        "focal_alpha": 0.25,
        "set_cost_class": 2.0,
        "set_cost_bbox": 5.0,
        "set_cost_giou": 2.0,
        "cls_loss_coef": 1.0,
        "bbox_loss_coef": 5.0,
        "giou_loss_coef": 2.0,
        "num_select": 300,
        "lr": 1e-4,
        "weight_decay": 1e-4,
        "clip_max_norm": 0.1,
        "epochs": 12,
        "lr_drop": 11,
        "nheads": 8,
        "dilation": False,
        "drop_path_rate": 0.2,
        "pe_temperatureH": 20.0,
        "pe_temperatureW": 20.0,
        "dec_pred_class_embed_share": True,
        "dec_pred_bbox_embed_share": True,
        "use_detached_boxes_dec_out": False,
        "num_queries": None,
        **TOLD_BY_WEIGHTS,
    }

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        _require_fixed(arguments)
        shared = _both(arguments, "dec_pred_class_embed_share", "dec_pred_bbox_embed_share")
        classes = len(needed(weights, "class_embed.0.bias"))
        schemes = _schemes(arguments)
        left_out = unneeded(weights, shared_heads=shared)
        if not schemes:
            left_out["label_enc.weight"] = "of denoising, which is off"
        layers = count_layers(weights, "decoder")
        renamed = {rename(k, layers): v for k, v in weights.items() if k not in left_out}
        if schemes:  # the table may have been created for more classes
            renamed[LABEL_TABLE] = needed(weights, "label_enc.weight")[: classes + 1].clone()
        return Imported(
            recipe="dino/dino_r50_4scale_12ep.py",
            options={
                "data.num_classes": classes,
                "model.schemes": schemes,
                "model.decoder.heads.shared": shared,
                **_architecture(arguments, weights),
                **training_options(arguments, _OPTIONS),
                **resizing.DETR,
            },
            weights=renamed,
            left_out=left_out,
            label_tables=(LABEL_TABLE,) if schemes else (),
        )


def _require_fixed(arguments: Arguments) -> None:
    for name, value in _FIXED.items():
        stated = arguments.stated.get(name, value)
        if stated != value:
            raise UserError(f"{name}={stated}: only {value} can be converted")


def _both(arguments: Arguments, one: str, other: str) -> Any:
    """The value shared by two arguments.

    Raises:
        UserError: they differ.
    """
    if arguments[one] != arguments[other]:
        raise UserError(f"{one}={arguments[one]} and {other}={arguments[other]} must be the same")
    return arguments[one]


def _architecture(arguments: Arguments, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    queries = len(needed(weights, "transformer.tgt_embed.weight"))
    temperature = _both(arguments, "pe_temperatureH", "pe_temperatureW")
    return {
        **_feature_options(weights, arguments),
        **transformer_options(weights, arguments),
        "model.encoder.position.temperature": float(temperature),
        "model.query_selection.num_queries": arguments.told("num_queries", queries),
        "model.decoder.look_forward_twice": not arguments["use_detached_boxes_dec_out"],
    }


def _feature_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    """Options of backbone and neck."""
    if is_vitdet(weights):
        return vitdet_options(weights, arguments["drop_path_rate"])
    return {**backbone_options(weights, arguments), **neck_options(weights, arguments)}


def _schemes(arguments: Arguments) -> list[dict[str, Any]]:
    """Denoising as a config node, or nothing. Its number means that many pairs of a positive and a
    negative query if it is at least 50, otherwise half of the number of groups.
    """
    number = arguments["dn_number"] if arguments["use_dn"] else 0
    if number < 1:
        return []
    budget = 2 * number >= 100
    return [
        denoising(
            groups=number if budget else 2 * number,
            max_queries=2 * number if budget else None,
            box_noise=arguments["dn_box_noise_scale"],
            label_noise=arguments["dn_label_noise_ratio"] / 2,  # the script applies half of it
        )
    ]


def denoising(
    *, groups: int, max_queries: int | None, box_noise: float, label_noise: float
) -> dict[str, Any]:
    """The scheme as a config node."""
    return {
        "_target_": "hdetr_d2.schemes.Denoising",
        "num_classes": "${model.num_classes}",
        "dim": "${model.neck.out_channels}",
        "box_noise": {"_target_": "hdetr_d2.schemes.ContrastiveNoise", "scale": box_noise},
        "label_noise": label_noise,
        "groups": groups,
        "max_queries": max_queries,
    }


DINO = DINOImporter()
