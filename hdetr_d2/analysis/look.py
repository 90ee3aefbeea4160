"""Intermediate results of a detector on one image."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.analysis.attention import CrossAttention
from hdetr_d2.analysis.score_maps import feature_norms, on_levels, score_map
from hdetr_d2.modeling import DETR
from hdetr_d2.structures import Assignment, GroupOutput, Match, QueryGroup, Targets, by_query


@dataclass(frozen=True)
class Look:
    """Intermediate results for one image, on the host.

    image: `Tensor[C, H, W]`, the model's input. boxes: ground-truth boxes, `Tensor[G, 4]` xyxy in
    pixels. features, attention: score maps, `Tensor[H, W]` in [0, 1], of the encoder's features,
    and of the decoder's attention over all layers. assignment: one-to-one assignment of the main
    queries, `Tensor[L, Q]`.
    """

    image: Tensor
    boxes: Tensor
    features: Tensor
    attention: Tensor
    assignment: Assignment


@torch.no_grad()
def look(model: DETR, item: dict[str, Any], *, all_queries: bool = False) -> Look:
    """Runs the main queries of `model`, which is in evaluation mode, on an image with annotations.

    Args:
        item: Detectron2's input dict with "instances", as in training.
        all_queries: use the attention of all main queries; otherwise, in each layer, only that of
            queries with a target.

    Raises:
        UserError: the annotations do not fit the model.
    """
    maps = model.encode([item["image"]])
    memory, sizes = maps.memory, (maps.size, maps.sizes[0])
    targets = Targets.from_inputs([item], model.num_classes, model.device, sizes=maps.frames)
    match = Match((1,) * model.decoder.num_layers)
    group = QueryGroup(name="", queries=model.query_selection(memory).main, assigner=match)
    with CrossAttention(model.decoder) as watching:
        (predictions,) = model.decoder([group], memory)
    (learned,) = model.criterion.assign([GroupOutput(group, predictions, targets)])
    assignment = by_query(learned)
    counts = torch.ones_like(assignment) if all_queries else assignment >= 0
    attended = on_levels(watching.attended(counts.to(memory.tokens.dtype)), memory)
    return Look(
        item["image"],
        item["instances"].gt_boxes.tensor,
        score_map(feature_norms(memory), *sizes).cpu(),
        score_map(attended, *sizes).cpu(),
        assignment[:, 0].cpu(),
    )
