"""Non-finite matching costs: counted in every step, and described if there are any."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from hdetr_d2.matching import COST_TERMS, NONFINITE_COSTS

Observed: TypeAlias = Mapping[str, Tensor]
"""The observations of a micro-batch. Those of the matcher are `Tensor[L, B, 3]` for each matched
group.
"""

Place: TypeAlias = tuple[str, str, int, Any]
"""Group, term, layer and image id of a non-finite cost."""

METRICS = tuple(f"{NONFINITE_COSTS}_{term}" for term in COST_TERMS)
"""Names of the counts among the metrics of a step."""

_WORDS = {"class": "class", "bbox": "L1", "giou": "GIoU"}


def count(observed: Observed, device: torch.device) -> Tensor:
    """The number of non-finite costs of each term, `Tensor[3]` on `device`."""
    total = torch.zeros(len(COST_TERMS), device=device)
    for counts in _by_group(observed).values():
        total = total + counts.sum((0, 1))
    return total


def spoil(loss: Tensor, counts: Tensor) -> Tensor:
    """`loss`, with a NaN gradient if any of `counts` is nonzero.

    Such a step then changes no weight in any process, and the host need not know.
    """
    return loss * torch.where(counts.any(), math.nan, 1.0)


def find(observed: Observed, image_ids: Sequence[Any]) -> list[Place]:
    """Locates the non-finite costs of a micro-batch. Waits for the device."""
    return [
        (group, COST_TERMS[term], layer, image_ids[image])
        for group, counts in _by_group(observed).items()
        for layer, image, term in counts.nonzero().tolist()
    ]


def in_words(places: Iterable[Place]) -> str:
    """Describes the places, e.g. `class and L1 of main in layers 0, 1; GIoU of enc in layer 0`."""
    by_group: dict[str, list[Place]] = {}
    for place in places:
        by_group.setdefault(place[0], []).append(place)
    return "; ".join(_group_in_words(group, found) for group, found in by_group.items())


def _group_in_words(group: str, places: list[Place]) -> str:
    found = {term for _, term, _, _ in places}
    *others, last = (word for term, word in _WORDS.items() if term in found)
    terms = f"{', '.join(others)} and {last}" if others else last
    layers = sorted({layer for _, _, layer, _ in places})
    return f"{terms} of {group} in layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"


def _by_group(observed: Observed) -> dict[str, Tensor]:
    prefix = f"{NONFINITE_COSTS}/"
    return {
        name.removeprefix(prefix): counts
        for name, counts in observed.items()
        if name.startswith(prefix)
    }
