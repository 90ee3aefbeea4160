"""Translates names of Detectron2's and detrex's backbones to those used by the published detectors'
own scripts: below `backbone.0.body.`, a ResNet as in torchvision and a Swin as its authors name it,
others as timm's feature extractors; a ViTDet as here.
"""

from collections.abc import Collection, Sequence

from hdetr_d2.checkpoint.importers.names import Rule
from hdetr_d2.checkpoint.importers.vitdet import VITDET_NAMES, is_vitdet

_BODY = "backbone.0.body."
_BLOCK = r"^backbone\.res(\d)\.(\d+)\."

_RESNET: Sequence[Rule] = [
    (r"^backbone\.stem\.conv1\.norm\.", f"{_BODY}bn1."),
    (r"^backbone\.stem\.", _BODY),
    (_BLOCK + r"conv(\d)\.norm\.", lambda m: f"{_stage(m[1], m[2])}bn{m[3]}."),
    (_BLOCK + r"shortcut\.norm\.", lambda m: f"{_stage(m[1], m[2])}downsample.1."),
    (_BLOCK + r"shortcut\.", lambda m: f"{_stage(m[1], m[2])}downsample.0."),
    (_BLOCK, lambda m: _stage(m[1], m[2])),
]
_CONVNEXT: Sequence[Rule] = [
    (r"^backbone\.downsample_layers\.0\.", f"{_BODY}stem_"),
    (r"^backbone\.downsample_layers\.(\d)\.", rf"{_BODY}stages_\1.downsample."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.dwconv\.", rf"{_BODY}stages_\1.blocks.\2.conv_dw."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.pwconv", rf"{_BODY}stages_\1.blocks.\2.mlp.fc"),
    (r"^backbone\.stages\.(\d)\.(\d+)\.", rf"{_BODY}stages_\1.blocks.\2."),
]
_FOCALNET: Sequence[Rule] = [
    (r"^backbone\.patch_embed\.", f"{_BODY}stem."),
    # timm assigns patch merging to the stage after it.
    (
        r"^backbone\.layers\.(\d)\.downsample\.",
        lambda m: f"{_BODY}layers_{int(m[1]) + 1}.downsample.",
    ),
    (
        r"^backbone\.layers\.(\d)\.blocks\.(\d+)\.gamma_(\d)$",
        rf"{_BODY}layers_\1.blocks.\2.ls\3.gamma",
    ),
    (r"^backbone\.layers\.(\d)\.", rf"{_BODY}layers_\1."),
]
_POST_NORM: Rule = (
    r"^backbone\.layers\.(\d)\.blocks\.(\d+)\.norm(\d)\.",
    rf"{_BODY}layers_\1.blocks.\2.norm\3_post.",
)
_AS_IT_IS: Rule = (r"^backbone\.(?:body\.)?", _BODY)


def backbone_rules(names: Collection[str]) -> Sequence[Rule]:
    """The rules for the backbone with these weight names."""
    if is_vitdet(names):
        return VITDET_NAMES
    if "backbone.downsample_layers.0.0.weight" in names:
        return [*_CONVNEXT, _AS_IT_IS]
    if "backbone.layers.0.blocks.0.modulation.f.weight" in names:
        # If the branches of a block are scaled, they are normalised after and not before.
        scaled = "backbone.layers.0.blocks.0.gamma_1" in names
        return [*([_POST_NORM] if scaled else []), *_FOCALNET, _AS_IT_IS]
    return [*_RESNET, _AS_IT_IS]


def _stage(level: str, block: str) -> str:
    return f"{_BODY}layer{int(level) - 1}.{block}."
