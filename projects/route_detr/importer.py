"""Checkpoints of the released Route-DETR code (https://github.com/YZk67/Dual-R-DETR).

They contain weights but no arguments: the architecture is derived from names and shapes, the rest
from the options of the conversion.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.importers import Arguments, Imported, Importer, resizing
from hdetr_d2.checkpoint.importers.backbones import backbone_options
from hdetr_d2.checkpoint.importers.deformable_detr_sizes import neck_options, transformer_options
from hdetr_d2.checkpoint.importers.weights import count_layers, needed
from hdetr_d2.errors import UserError
from hdetr_d2.projects.route_detr.importer_names import family_name, rename, router_layer

_RECIPE = "projects/route_detr/configs/route_released_deformable_detr_r50_12ep.py"


class RouteDETRImporter(Importer):
    """Reads checkpoints of the release's main.py."""

    name = "route-detr"
    defaults = {"num_queries": 300, "last_n": 2, "nheads": 8, "dilation": False}

    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """See `Importer.read`."""
        layers = count_layers(weights, "decoder")
        family = {family_name(name, layers): value for name, value in weights.items()}
        last = arguments["last_n"]
        left_out = _unrouted(family, layers, last)
        options = {
            "data.num_classes": len(needed(family, "class_embed.0.bias")),
            **backbone_options(family, arguments),
            **neck_options(family, arguments),
            **transformer_options(family, arguments),
            "model.query_selection.num_queries": arguments["num_queries"],
            "model.schemes.0.last": last,
            **resizing.resize_options("route_detr", "torch"),
        }
        return Imported(
            recipe=_RECIPE,
            options=options,
            weights={rename(k, layers): v for k, v in family.items() if k not in left_out},
            left_out=left_out,
            objectness_heads=("query_selection.",),
        )


def _unrouted(weights: Mapping[str, Any], layers: int, last: int) -> dict[str, str]:
    """The routers of unrouted layers, which the release creates but never trains -> why they are
    not needed.

    Raises:
        UserError: the decoder does not have that many layers.
    """
    if not 1 <= last <= layers:
        raise UserError(f"last_n={last} does not fit the {layers} decoder layers of the file")
    return {
        name: f"layer {layer} is not routed: only the last {last} of {layers} are"
        for name in weights
        if (layer := router_layer(name)) is not None and layer < layers - last
    }


importer = RouteDETRImporter()
