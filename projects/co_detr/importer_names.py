"""Translates parameter names of the published Co-DETR to those of the published Deformable-DETR
family, which the core reads, and to those of the collaborators.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from hdetr_d2.checkpoint.importers.base_layer_names import LAYER_NAMES
from hdetr_d2.checkpoint.importers.names import Rule, rename_by
from hdetr_d2.projects.co_detr.importer_vit import VIT_NAMES

COLLABORATORS = ("faster_rcnn", "atss")
"""The heads in the order in which the file numbers their queries."""

_FAMILY: Sequence[Rule] = [
    *VIT_NAMES,
    (r"^backbone\.", "backbone.0.body."),
    (r"^neck\.convs\.(\d+)\.conv\.", r"input_proj.\1.0."),
    (r"^neck\.convs\.(\d+)\.gn\.", r"input_proj.\1.1."),
    (r"^query_head\.transformer\.level_embeds$", "transformer.level_embed"),
    *LAYER_NAMES,
    (r"^query_head\.cls_branches\.", "class_embed."),
    (
        r"^query_head\.reg_branches\.(\d+)\.(\d+)\.",
        lambda m: f"bbox_embed.{m[1]}.layers.{int(m[2]) // 2}.",
    ),
    (r"^query_head\.query_embedding\.", "query_embed."),
    (r"^query_head\.transformer\.query_embed\.", "transformer.tgt_embed."),
    (r"^query_head\.label_embedding\.", "label_enc."),
    (
        r"^query_head\.transformer\.decoder\.ref_point_head\.(\d+)\.",
        lambda m: f"transformer.decoder.ref_point_head.layers.{int(m[1]) // 2}.",
    ),
    (
        r"^query_head\.transformer\.(?=(enc_output|pos_trans)(_norm)?\.|decoder\.norm\.)",
        "transformer.",
    ),
]
_RPN, _ROI, _ATSS = "faster_rcnn.head.rpn.", "faster_rcnn.head.roi_head.", "atss.head.predictor."
_HEADS: Sequence[Rule] = [
    (r"^rpn_head\.rpn_conv\.", f"{_RPN}conv."),
    (r"^rpn_head\.rpn_cls\.", f"{_RPN}class_conv."),
    (r"^rpn_head\.rpn_reg\.", f"{_RPN}box_conv."),
    (
        r"^roi_head\.0\.bbox_head\.shared_convs\.(\d+)\.(conv|gn)\.",
        lambda m: f"{_ROI}convs.{3 * int(m[1]) + (m[2] == 'gn')}.",
    ),
    (
        r"^roi_head\.0\.bbox_head\.shared_fcs\.(\d+)\.",
        lambda m: f"{_ROI}hidden.{2 * int(m[1])}.",
    ),
    (r"^roi_head\.0\.bbox_head\.fc_cls\.", f"{_ROI}class_layer."),
    (r"^roi_head\.0\.bbox_head\.fc_reg\.", f"{_ROI}box_layer."),
    (
        r"^bbox_head\.0\.(cls|reg)_convs\.(\d+)\.(conv|gn)\.",
        lambda m: (
            f"{_ATSS}{'class' if m[1] == 'cls' else 'box'}_tower.{3 * int(m[2]) + (m[3] == 'gn')}."
        ),
    ),
    (r"^bbox_head\.0\.atss_cls\.", f"{_ATSS}class_conv."),
    (r"^bbox_head\.0\.atss_reg\.", f"{_ATSS}box_conv."),
    (r"^bbox_head\.0\.atss_centerness\.", f"{_ATSS}quality_conv."),
]
_QUERIES = {
    "aux_pos_trans": "box_proj",
    "aux_pos_trans_norm": "box_norm",
    "pos_feats_trans": "feature_proj",
    "pos_feats_norm": "feature_norm",
}
_OF_QUERIES = re.compile(rf"^query_head\.transformer\.({'|'.join(_QUERIES)})\.(\d+)\.(.*)$")
_SCALE = re.compile(r"^bbox_head\.0\.scales\.(\d+)\.scale$")
_UNNEEDED = {
    r"\.num_batches_tracked$": "counts the batches of a norm that is constant here",
    r"\.rope(_win|_glb)?\.freqs_(cos|sin)$": "computed from the size of a map",
    r"^(roi_head\.0\.)?mask_(iou_)?head\.": "of masks, which are not predicted here",
    r"\.fed_loss_weight$": "the frequencies of classes, for a federated loss",
    r"^ema_": "what the weights were before they were averaged",
}
_HEAD_POSITIONS = "query_head.transformer.head_pos_embed.weight"


def unneeded(names: Iterable[str]) -> dict[str, str]:
    """Names in the file that do not belong to a model here -> reason."""
    patterns = _UNNEEDED.items()
    return {name: why for name in names for pattern, why in patterns if re.search(pattern, name)}


def family_name(name: str, features: int) -> str:
    """The parameter's name in Deformable-DETR's or DINO's own script, if it exists there.

    Args:
        features: number of backbone features that the neck uses; additional levels are numbered
            after them.
    """
    further: Rule = (
        r"^neck\.extra_convs\.(\d+)\.(conv|gn)\.",
        lambda m: f"input_proj.{features + int(m[1])}.{int(m[2] == 'gn')}.",
    )
    return rename_by([further, *_FAMILY], name)


def split_collaborators(
    weights: Mapping[str, Tensor], scheme: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the heads and their queries, under the names of a `CollaborativeHeads`, and
    the remaining weights.

    Args:
        scheme: the name of the scheme, and a dot.
    """
    own, rest, scales = dict[str, Tensor](), dict[str, Tensor](), dict[int, Tensor]()
    for name, value in weights.items():
        if match := _SCALE.match(name):
            scales[int(match[1])] = value
        elif name == _HEAD_POSITIONS:
            # One number per head, shared by all channels.
            for head, row in zip(COLLABORATORS, value, strict=True):
                own[f"{scheme}collaborators.{head}.queries.head_position"] = row[0].clone()
        elif (ours := _collaborator_name(name)) is not None:
            own[f"{scheme}{ours}"] = value
        else:
            rest[name] = value
    if scales:
        levels = torch.stack([scales[level] for level in sorted(scales)])
        own[f"{scheme}collaborators.{_ATSS}scales"] = levels
    return own, rest


def _collaborator_name(name: str) -> str | None:
    """The name within the scheme; None for parameters of the detector."""
    if match := _OF_QUERIES.match(name):
        head = COLLABORATORS[int(match[2])]
        return f"collaborators.{head}.queries.{_QUERIES[match[1]]}.{match[3]}"
    if match := re.match(r"^query_head\.downsample\.([01])\.(.*)$", name):
        return f"adapter.{('conv', 'norm')[int(match[1])]}.{match[2]}"
    renamed = rename_by(_HEADS, name)
    return None if renamed == name else f"collaborators.{renamed}"
