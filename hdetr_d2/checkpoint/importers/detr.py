"""Checkpoints of DETR (https://arxiv.org/abs/2005.12872), as saved by its training script.

The architecture is derived from names and shapes of the weights, the rest from the arguments, which
the released files lack.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers import resizing
from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.classes import NUM_COCO_IDS, NUM_PANOPTIC_IDS, THINGS
from hdetr_d2.checkpoint.importers.detr_mask_names import rename_mask_head
from hdetr_d2.checkpoint.importers.detr_names import rename
from hdetr_d2.checkpoint.importers.training import TRAINING_OPTIONS, training_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.errors import UserError

_RECIPES = {  # with masks, panoptic
    (False, False): "detr/detr_r50_300ep.py",
    (True, False): "detr/detr_masks_r50_25ep.py",
    (False, True): "detr/detr_panoptic_boxes_r50_300ep.py",
    (True, True): "detr/detr_panoptic_r50_25ep.py",
}
_LEARNED = "backbone.1.row_embed.weight"
_OPTIONS = TRAINING_OPTIONS | {"eos_coef": "model.criterion.class_loss.no_object_weight"}
_MASK_OPTIONS = {
    "mask_loss_coef": "model.mask_head.loss.weights.mask",
    "dice_loss_coef": "model.mask_head.loss.weights.dice",
}


class DETRImporter(Importer):
    """Reads box, mask and panoptic models: ResNets with or without dilation; pre- and post-norm;
    sine and learned positions.
    """

    name = "detr"
    # The script's, which are also the recipe's.
    defaults = {
        "dropout": 0.1,
        "eos_coef": 0.1,
        "set_cost_class": 1.0,
        "set_cost_bbox": 5.0,
        "set_cost_giou": 2.0,
        "bbox_loss_coef": 5.0,
        "giou_loss_coef": 2.0,
        "mask_loss_coef": 1.0,
        "dice_loss_coef": 1.0,
        "lr": 1e-4,
        "weight_decay": 1e-4,
        "clip_max_norm": 0.1,
        "epochs": 300,
        "nheads": 8,
        "dilation": False,
        "lr_drop": 200,
        # Implied by the weights; if stated, they must agree.
        "position_embedding": None,
        "pre_norm": None,
        "masks": None,
        "num_queries": None,
        "hidden_dim": None,
        "enc_layers": None,
        "dec_layers": None,
        "dim_feedforward": None,
    }

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        weights = {rename_mask_head(name): value for name, value in weights.items()}
        masks = arguments.told("masks", "mask_head.output.weight" in weights)
        # The last output means no object.
        classes = len(needed(weights, "class_embed.bias")) - 1
        panoptic = classes == NUM_PANOPTIC_IDS
        options = {
            "data.num_classes": classes,
            **backbone_options(weights, arguments),
            **_transformer_options(weights, arguments),
            **_query_options(weights, arguments),
            **training_options(arguments, _OPTIONS | (_MASK_OPTIONS if masks else {})),
            **resizing.DETR,
        }
        if masks:
            options["model.mask_head.num_heads"] = arguments["nheads"]
        if panoptic:
            options[THINGS] = list(range(NUM_COCO_IDS))
        return Imported(
            recipe=_RECIPES[masks, panoptic],
            options=options,
            weights={rename(name): value for name, value in weights.items()},
        )


def _transformer_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    dim, channels = needed(weights, "input_proj.weight").shape[:2]
    heads, sizes = arguments["nheads"], "model.encoder.sizes"
    if heads < 1 or dim % heads:
        raise UserError(
            f"nheads={heads} does not fit the weights, which have {dim} channels; "
            "--arg nheads=... says otherwise"
        )
    hidden = len(needed(weights, "transformer.encoder.layers.0.linear1.bias"))
    pre_norm = "transformer.encoder.norm.weight" in weights
    return {
        "model.neck.in_shapes": [channels],
        "model.neck.out_channels": arguments.told("hidden_dim", dim),
        f"{sizes}.num_heads": heads,
        f"{sizes}.feedforward_dim": arguments.told("dim_feedforward", hidden),
        f"{sizes}.pre_norm": arguments.told("pre_norm", pre_norm),
        "model.encoder.num_layers": arguments.told("enc_layers", count_layers(weights, "encoder")),
        "model.decoder.num_layers": arguments.told("dec_layers", count_layers(weights, "decoder")),
        **_position_options(weights, arguments),
    }


def _position_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    if arguments.told("position_embedding", "learned" if _LEARNED in weights else "sine") == "sine":
        return {}
    node = {
        "_target_": "hdetr_d2.layers.LearnedPositionEncoding",
        "dim": "${model.neck.out_channels}",
        "num_cells": len(weights[_LEARNED]),
    }
    return {"model.encoder.position": node}


def _query_options(weights: Mapping[str, Tensor], arguments: Arguments) -> dict[str, Any]:
    queries = arguments.told("num_queries", len(needed(weights, "query_embed.weight")))
    # The script reports the prediction of every query.
    return {
        "model.query_selection.num_queries": queries,
        "model.postprocessing.num_select": queries,
    }


DETR = DETRImporter()
