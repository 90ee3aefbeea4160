"""Distances between the heads that share an encoder (Co-DETR, https://arxiv.org/abs/2211.12860,
appendix).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from detectron2.structures import Instances
from torch import Tensor

from hdetr_d2.analysis.activation import activation_maps
from hdetr_d2.analysis.distance import distances, kl_divergence, l2_distance, mean_distances
from hdetr_d2.analysis.score_maps import score_map
from hdetr_d2.modeling import DETR
from hdetr_d2.structures import ImageMaps, Memory

DECODER = "decoder"
"""The name of the main queries among the heads of a model."""

Head: TypeAlias = Callable[[ImageMaps], list[Instances]]
"""Detects the objects of a batch; the instances have `scores`."""


@dataclass(frozen=True)
class HeadDistances:
    """names: names of the K heads. kl, l2: `Tensor[K, K]`, distance from the head of a row to that
    of a column, averaged over the images.
    """

    names: list[str]
    kl: Tensor
    l2: Tensor

    @property
    def means(self) -> Tensor:
        """`Tensor[K]`: mean divergence between each head and the others, in both directions."""
        return mean_distances(self.kl)


def heads_of(model: DETR) -> dict[str, Head]:
    """The decoder with the main queries, and the detectors that were trained by the schemes of the
    model.
    """
    heads: dict[str, Head] = {DECODER: partial(_decode, model)}
    for scheme in model.schemes:
        heads |= scheme.detectors()
    return heads


def _decode(model: DETR, maps: ImageMaps) -> list[Instances]:
    predictions = model.predict(maps.memory)
    scores, boxes = model.scores(predictions), predictions.boxes[-1]
    return model.postprocessing.detections(scores, boxes, maps.frames)


@torch.no_grad()
def look_with(model: DETR, item: dict[str, Any], heads: Mapping[str, Head]) -> dict[str, Tensor]:
    """What each head responds to in an image: the score map, `Tensor[H, W]`, of the class
    activation of all its detections.

    Args:
        model: in evaluation mode.
        item: Detectron2's input dict.
        heads: the heads by name.
    """
    maps = model.encode([item["image"]])
    activations = {
        name: activation_maps(maps.memory, partial(_score, head, maps))
        for name, head in heads.items()
    }
    return {name: score_map(found, maps.size, maps.sizes[0]) for name, found in activations.items()}


def _score(head: Head, maps: ImageMaps, memory: Memory) -> Tensor:
    """The summed score of all detections of a head, given another memory of the same image."""
    return head(replace(maps, memory=memory))[0].scores.sum()


def study_heads(
    model: DETR,
    mapper: Callable[[dict], dict[str, Any]],
    entries: Iterable[dict],
    heads: Mapping[str, Head],
) -> HeadDistances:
    """The distances between at least two heads, averaged over at least one of the `entries`."""
    kl, l2 = list[Tensor](), list[Tensor]()
    for entry in entries:
        maps = list(look_with(model, mapper(entry), heads).values())
        kl.append(distances(maps, kl_divergence).cpu())
        l2.append(distances(maps, l2_distance).cpu())
    return HeadDistances(list(heads), torch.stack(kl).mean(0), torch.stack(l2).mean(0))
