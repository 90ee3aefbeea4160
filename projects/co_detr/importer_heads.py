"""The collaborative heads and the denoising of the released checkpoints, as config options."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.weights import needed

_BOX_HEAD = "roi_head.0.bbox_head"
_OF_FASTER_RCNN = re.compile(
    r"^(rpn_head|roi_head\.0|query_head\.transformer\.aux_pos_trans(_norm)?\.0)\."
)
# Divisors of the deltas in the published second stages, with a box per class and with one for all
# classes.
_STDS = {False: [0.1, 0.1, 0.2, 0.2], True: [0.05, 0.05, 0.1, 0.1]}


def foreign_second_stage(weights: Mapping[str, Tensor], classes: int) -> dict[str, str]:
    """Names of Faster R-CNN in the file -> why they are not needed, if its second stage has another
    form: some LVIS models have a cascade, no background output, or none.
    """
    outputs = weights.get(f"{_BOX_HEAD}.fc_cls.bias")
    if outputs is not None and len(outputs) == classes + 1:
        return {}
    reason = "of a Faster R-CNN whose second stage is not one of this project"
    return {name: reason for name in weights if _OF_FASTER_RCNN.match(name)}


def scheme_options(
    arguments: Arguments, weights: Mapping[str, Tensor], layers: int, place: int
) -> dict[str, Any]:
    """Options of the schemes; that of the heads is at `place`, after denoising if there is any.

    Args:
        arguments: those of the conversion.
        weights: those in use, under the file's own names; without a second stage there is no Faster
            R-CNN.
        layers: number of decoder layers, by which the losses of the heads are multiplied.
        place: 0 or 1.
    """
    heads = f"model.schemes.{place}.collaborators"
    weight = arguments["lambda_2"] * layers
    options: dict[str, Any] = {f"{heads}.atss.head.weight": weight}
    if f"{_BOX_HEAD}.fc_cls.bias" in weights:
        options[f"{heads}.faster_rcnn.head.weight"] = weight
        options |= _second_stage(weights, f"{heads}.faster_rcnn.head.roi_head")
    else:
        options[f"{heads}.faster_rcnn"] = None
    return options | (_denoising(arguments, "model.schemes.0") if place else {})


def _second_stage(weights: Mapping[str, Tensor], owner: str) -> dict[str, Any]:
    class_agnostic = len(needed(weights, f"{_BOX_HEAD}.fc_reg.bias")) == 4
    return {
        f"{owner}.num_convs": _count(weights, "shared_convs"),
        f"{owner}.num_hidden": _count(weights, "shared_fcs"),
        f"{owner}.hidden_dim": needed(weights, f"{_BOX_HEAD}.fc_cls.weight").shape[1],
        f"{owner}.class_agnostic": class_agnostic,
        f"{owner}.stds": _STDS[class_agnostic],
    }


def _count(weights: Mapping[str, Tensor], layers: str) -> int:
    pattern = re.compile(rf"^{re.escape(_BOX_HEAD)}\.{layers}\.(\d+)\.")
    return len({match[1] for name in weights if (match := pattern.match(name))})


def _denoising(arguments: Arguments, owner: str) -> dict[str, Any]:
    """What was stated; otherwise the recipe has the values of its published model."""
    options: dict[str, Any] = {}
    if "num_dn_queries" in arguments.stated:
        number = arguments["num_dn_queries"]
        options[f"{owner}.groups"] = number
        options[f"{owner}.max_queries"] = 2 * number  # pairs of a positive and a negative
    if "dn_box_noise_scale" in arguments.stated:
        options[f"{owner}.box_noise.scale"] = arguments["dn_box_noise_scale"]
    return options
