"""Translates detrex's parameter names to those of each method's own script."""

from collections.abc import Collection, Sequence

from hdetr_d2.checkpoint.importers.base_layer_names import LAYER_NAMES
from hdetr_d2.checkpoint.importers.detectron2_names import backbone_rules
from hdetr_d2.checkpoint.importers.names import Rule, listed_once, rename_by

_DEFORMABLE: Sequence[Rule] = [
    *LAYER_NAMES,
    (r"^neck\.convs\.(\d+)\.conv\.", r"input_proj.\1.0."),
    (r"^neck\.convs\.(\d+)\.norm\.", r"input_proj.\1.1."),
    (r"^transformer\.level_embeds$", "transformer.level_embed"),
    (r"^query_embedding\.", "query_embed."),
]
_DETR: Sequence[Rule] = [
    # Norms in execution order, as in its own script.
    (
        r"^transformer\.(encoder|decoder)\.layers\.(\d+)\.norms\.(\d)\.",
        lambda m: f"transformer.{m[1]}.layers.{m[2]}.norm{int(m[3]) + 1}.",
    ),
    (
        r"^transformer\.decoder\.layers\.(\d+)\.attentions\.1\.attn\.",
        r"transformer.decoder.layers.\1.multihead_attn.",
    ),
    (r"^transformer\.(encoder|decoder)\.post_norm_layer\.", r"transformer.\1.norm."),
    *LAYER_NAMES,
]


def detr_names(names: Collection[str]) -> dict[str, str]:
    """Names of a DETR -> those of its own script."""
    rules = [*backbone_rules(names), *_DETR]
    return {name: rename_by(rules, name) for name in names}


def deformable_names(names: Collection[str]) -> dict[str, str]:
    """Names of a Deformable-DETR or a successor -> those of its own script."""
    features = len({name.split(".")[2] for name in names if name.startswith("neck.convs.")})
    further: Rule = (
        r"^neck\.extra_convs\.(\d+)\.(conv|norm)\.",
        lambda m: f"input_proj.{features + int(m[1])}.{int(m[2] == 'norm')}.",
    )
    rules = [*backbone_rules(names), further, *_DEFORMABLE]
    return {name: rename_by(rules, listed_once(name, names)) for name in names}
