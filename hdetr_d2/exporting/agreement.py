"""Compares the detections of an exported file with those of the model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hdetr_d2.exporting.graph import DetectorGraph, choosing
from hdetr_d2.runtime.session import Session


@dataclass
class Differences:
    """The largest differences over all images.

    scores: of query-class pairs that both have found. boxes: of these, in pixels of the original
    images. missing: for pairs found by only one of them, the largest margin of their score above
    the other's lowest. proposals: the largest difference in confidence between a selected proposal
    and the one in its place. masks: the fraction of pixels. pairs: number of pairs compared.
    """

    scores: float = 0.0
    boxes: float = 0.0
    missing: float = 0.0
    proposals: float = 0.0
    masks: float = 0.0
    pairs: int = 0

    def __str__(self) -> str:
        return (
            f"scores {self.scores:.1e}, boxes {self.boxes:.1e} pixels, missing {self.missing:.1e}, "
            f"proposals {self.proposals:.1e}, masks {self.masks:.1e} (of {self.pairs} pairs)"
        )

    def widen(self, **found: float) -> None:
        for name, value in found.items():
            # NaN stays, and is within no tolerance.
            setattr(self, name, float(np.maximum(getattr(self, name), value)))


def compare(
    graph: DetectorGraph,
    session: Session,
    inputs: Mapping[str, np.ndarray],
    images: int,
    seen: float = 0.0,
) -> Differences:
    """Runs both on the same images.

    Args:
        graph: computed by PyTorch.
        session: the exported file.
        inputs: of both.
        images: how many of these count: a batch may be filled up with black ones, on which norms
            give arbitrary results.
        seen: minimum score of pairs that count.

    In two-stage models, the order of nearly equal proposals is arbitrary, and may affect the
    results. PyTorch is therefore given the proposals selected by the file, and the selection is
    compared separately.
    """
    theirs = session.run(inputs)
    differences = Differences()

    def choose(confidence: Tensor, number: int) -> Tensor:
        chosen = torch.from_numpy(theirs["proposals"]).to(confidence.device)
        own = confidence.topk(number, dim=1).values
        gap = (confidence.gather(1, chosen) - own)[:images]
        differences.widen(proposals=gap.abs().max().item())
        return chosen

    tensors = [torch.from_numpy(array) for array in inputs.values()]
    with torch.inference_mode():
        if graph.two_stage:
            with choosing(graph.model, choose):
                outputs = graph(*tensors)
        else:
            outputs = graph(*tensors)
    ours = {name: out.numpy() for name, out in zip(graph.outputs, outputs, strict=True)}
    if "query_scores" in ours:
        differences.pairs = ours["query_scores"][:images].size
        differences.widen(
            scores=np.abs(ours["query_scores"] - theirs["query_scores"])[:images].max(),
            boxes=np.abs(ours["query_boxes"] - theirs["query_boxes"])[:images].max(),
        )
        return differences
    for index in range(images):
        _compare_image(ours, theirs, index, seen, differences)
    return differences


def _compare_image(
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    index: int,
    seen: float,
    differences: Differences,
) -> None:
    sides = [_by_pair(outputs, index) for outputs in (ours, theirs)]
    for pair in sides[0].keys() & sides[1].keys():
        a, b = (side[pair] for side in sides)
        if ours["scores"][index, a] < seen:
            continue
        differences.pairs += 1
        differences.widen(
            scores=abs(ours["scores"][index, a] - theirs["scores"][index, b]),
            boxes=np.abs(ours["boxes"][index, a] - theirs["boxes"][index, b]).max(),
        )
        if "masks" in ours:
            differences.widen(masks=(ours["masks"][index, a] != theirs["masks"][index, b]).mean())
    for side, other, own, others in ((0, 1, ours, theirs), (1, 0, theirs, ours)):
        last = min((others["scores"][index, row] for row in sides[other].values()), default=0.0)
        last = max(last, seen)
        for pair in sides[side].keys() - sides[other].keys():
            differences.widen(missing=own["scores"][index, sides[side][pair]] - last)


def _by_pair(outputs: Mapping[str, np.ndarray], index: int) -> dict[tuple[int, int], int]:
    """The rows of an image's detections by query and class."""
    rows = zip(outputs["queries"][index].tolist(), outputs["labels"][index].tolist(), strict=True)
    scores = outputs["scores"][index]
    return {pair: row for row, pair in enumerate(rows) if scores[row] > -np.inf}
