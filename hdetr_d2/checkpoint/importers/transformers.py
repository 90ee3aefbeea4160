"""Models of Hugging Face transformers: DETR, and Deformable-DETR single-stage, with box refinement
and two-stage; from a folder with `config.json` and `model.safetensors`.

Each is read like a checkpoint of the method's own script, with arguments from the config.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.base import Imported, Importer
from hdetr_d2.checkpoint.importers.classes import checked_names
from hdetr_d2.checkpoint.importers.deformable_detr import DEFORMABLE_DETR
from hdetr_d2.checkpoint.importers.detr import DETR
from hdetr_d2.checkpoint.importers.transformers_folder import read_folder
from hdetr_d2.checkpoint.importers.transformers_names import deformable_weights, detr_weights
from hdetr_d2.checkpoint.importers.transformers_processor import processor_options
from hdetr_d2.errors import UserError

_NUMBERS = {
    "dropout": "dropout",
    "class_cost": "set_cost_class",
    "bbox_cost": "set_cost_bbox",
    "giou_cost": "set_cost_giou",
    "bbox_loss_coefficient": "bbox_loss_coef",
    "giou_loss_coefficient": "giou_loss_coef",
    "eos_coefficient": "eos_coef",
    "focal_alpha": "focal_alpha",
}
"""Config key -> argument of the script."""
_MODELS = {
    "DetrForObjectDetection": DETR,
    "DeformableDetrForObjectDetection": DEFORMABLE_DETR,
}


class TransformersImporter(Importer):
    """The arguments are the content of `config.json`, and under `processor` that of
    `preprocessor_config.json`.
    """

    name = "transformers"
    # Defaults of transformers for missing config keys.
    defaults = {
        **dict.fromkeys(_NUMBERS),
        "architectures": None,
        "activation_function": "relu",
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
        "position_embedding_type": "sine",
        "dilation": None,
        "backbone_config": {},
        "decoder_layers": 6,
        "num_queries": None,
        "with_box_refine": False,
        "two_stage": False,
        "two_stage_num_proposals": 300,
        "id2label": {},
        "processor": {},
    }

    def load(
        self, path: str | Path, weights: str | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Importer.load`; the path is the folder or the weights file in it.

        Raises:
            UserError: the files do not exist or cannot be read, or a moving average is requested,
                which they do not contain.
        """
        if weights is not None:
            raise UserError(f"--weights {weights}: {path} holds one set of weights")
        state, config, processor = read_folder(path)
        told = {name: value for name, value in config.items() if value is not None}
        return state, told | {"processor": processor}

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        source = _source(arguments)
        stated = _stated(arguments, source)
        if source is DETR:
            renamed = detr_weights(weights)
        else:
            layers, two_stage = arguments["decoder_layers"], arguments["two_stage"]
            heads = layers + two_stage if arguments["with_box_refine"] or two_stage else None
            renamed = deformable_weights(weights, heads=heads)
        imported = source.read(Arguments(source.defaults, stated, {}), renamed)
        number = imported.options["data.num_classes"]
        return replace(
            imported,
            options=imported.options | processor_options(arguments["processor"]),
            class_names=_class_names(arguments, number),
        )


def _source(arguments: Arguments) -> Importer:
    """The importer of the method's own script."""
    architectures = arguments["architectures"]
    source = next((_MODELS[name] for name in _MODELS if architectures == [name]), None)
    if source is None:
        raise UserError(
            f"architectures={architectures} of config.json: only {' and '.join(_MODELS)} can be "
            "converted"
        )
    if arguments["activation_function"] != "relu":
        raise UserError(
            f"activation_function={arguments['activation_function']}: only relu can be converted"
        )
    return source


def _stated(arguments: Arguments, source: Importer) -> dict[str, Any]:
    """The arguments for the method's own script."""
    heads, other = arguments["encoder_attention_heads"], arguments["decoder_attention_heads"]
    if heads != other:
        raise UserError(
            f"encoder_attention_heads={heads} and decoder_attention_heads={other} must be the same"
        )
    dilated = arguments["backbone_config"].get("output_stride") == 16
    stated = {
        script: arguments[name] for name, script in _NUMBERS.items() if name in arguments.stated
    } | {
        "nheads": heads,
        "dilation": arguments["dilation"] is True or dilated,
    }
    if source is DETR:
        return stated | {"position_embedding": arguments["position_embedding_type"]}
    two_stage = arguments["two_stage"]
    if arguments["position_embedding_type"] != "sine":
        raise UserError("position_embedding_type: only sine can be converted of Deformable-DETR")
    queries = arguments["two_stage_num_proposals" if two_stage else "num_queries"]
    return stated | {
        "two_stage": two_stage,
        "with_box_refine": two_stage or arguments["with_box_refine"],
        **({} if queries is None else {"num_queries": queries}),
    }


def _class_names(arguments: Arguments, number: int) -> list[str]:
    """The names in `id2label`; empty if they are transformers' defaults, LABEL_0 and so on."""
    labels = arguments["id2label"]
    names = [labels.get(str(index)) for index in range(number)]
    if all(name in (None, f"LABEL_{index}") for index, name in enumerate(names)):
        return []
    # Unused COCO category ids have no name, and others may have been left out.
    named = [f"class {i}" if name in (None, "N/A") else name for i, name in enumerate(names)]
    return checked_names(named, number)


TRANSFORMERS = TransformersImporter()
