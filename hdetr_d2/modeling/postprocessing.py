"""From predictions to detections in pixels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.structures import Outline
from hdetr_d2.utils.device import to_device


class Picked(NamedTuple):
    """Scores, labels, and queries of the N detections of an image: `Tensor[B, N]` each. A row with
    the score -inf is none.
    """

    scores: Tensor
    labels: Tensor
    queries: Tensor


Pick: TypeAlias = Callable[[Tensor, Tensor, int], Picked]
"""From scores `Tensor[B, Q, K]`, boxes `Tensor[B, Q, 4]` cxcywh in [0, 1], and how many detections
an image has at most."""


class BestPairs:
    """The best pairs of a query and a class, best first; a query may appear with several classes
    (Deformable-DETR).
    """

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """All pairs if there are fewer than `num_select`."""
        num_classes = scores.shape[-1]
        flat = scores.flatten(1)
        best, index = flat.topk(min(num_select, flat.shape[1]), dim=1)
        return Picked(best, index % num_classes, index // num_classes)


class BestClasses:
    """The best class of every query, in their order (DETR, https://arxiv.org/abs/2005.12872)."""

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """With more queries than `num_select` only the best of them."""
        best, labels = scores.max(-1)
        queries = best.topk(min(num_select, best.shape[1]), dim=1).indices.sort(dim=1).values
        return Picked(best.gather(1, queries), labels.gather(1, queries), queries)


def top_detections(
    scores: Tensor,
    boxes: Tensor,
    frames: Sequence[tuple[int, int]],
    num_select: int,
    pick: Pick,
) -> list[Instances]:
    """The best detections of each image.

    Args:
        scores: `Tensor[B, Q, K]`.
        boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1].
        frames: (H, W) in pixels that the boxes of each image are relative to.
        num_select: detections kept, all of them if there are fewer.
        pick: which ones.

    Returns:
        Instances with `pred_boxes` (xyxy in pixels of the fed image, not clipped), `scores`,
        `pred_classes` and `pred_queries` (index of the query), in the order of `pick`.
    """
    best, labels, queries = pick(scores, boxes, num_select)
    scale = to_device([(w, h, w, h) for h, w in frames], boxes)
    xyxy = box_cxcywh_to_xyxy(boxes) * scale[:, None]
    xyxy = xyxy.gather(1, queries[..., None].expand(-1, -1, 4))
    per_image = zip(frames, xyxy, best, labels, queries, strict=True)
    found = [
        Instances(size, pred_boxes=Boxes(box), scores=score, pred_classes=label, pred_queries=query)
        for size, box, score, label, query in per_image
    ]
    return [instances[~instances.scores.isneginf()] for instances in found]


def to_original_size(detections: Sequence[Instances], batched_inputs: Sequence[dict]) -> list[dict]:
    """Detectron2's outputs: boxes brought from each input's "outline" to its "height" and "width",
    clipped, the empty ones left out.
    """
    outputs = []
    for instances, item in zip(detections, batched_inputs, strict=True):
        # Not that of the detections, which may count what the image is padded with.
        height, width = item["image"].shape[-2:]
        own = Instances((height, width), **instances.get_fields())
        if "outline" in item:
            outline = Outline.of(item)
            # Fractions of a pixel are as good for a ratio.
            own = Instances(outline.size, **instances.get_fields())  # type: ignore[arg-type]
            own.pred_boxes = Boxes(outline.boxes(own.pred_boxes.tensor))
        scaled = detector_postprocess(own, item.get("height", height), item.get("width", width))
        outputs.append({"instances": scaled})
    return outputs
