"""From a head's boxes to detections."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.ops import batched_nms

from hdetr_d2.modeling.soft_nms import lowering, soft_nms
from hdetr_d2.ops import box_iou

Suppress: TypeAlias = Callable[[Tensor, Tensor, Tensor, tuple[int, int]], Instances]
"""Called with boxes `Tensor[N, 4]` xyxy in pixels, scores `Tensor[N]`, labels `Tensor[N]` and the
size (h, w) of an image; returns its detections, best first.
"""


class Suppression(NamedTuple):
    """Non-maximum suppression: of overlapping boxes of one class, the best is kept.

    iou: minimum overlap. most: maximum number of detections per image. least_score: detections must
    score more.
    """

    iou: float
    most: int = 100
    least_score: float = 0.0

    def __call__(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> Instances:
        """See `Suppress`."""
        kept = batched_nms(boxes, scores, labels, self.iou)[: self.most]
        kept = kept[scores[kept] > self.least_score]
        return _detections(size, boxes[kept], scores[kept], labels[kept])


class SoftSuppression(NamedTuple):
    """Soft-NMS (https://arxiv.org/abs/1704.04503): of overlapping boxes of one class, the best
    lowers the scores of the others according to the overlap.

    iou: minimum overlap. most: maximum number of detections per image. least_score: boxes whose
    score is or becomes lower are dropped.
    """

    iou: float
    most: int = 100
    least_score: float = 1e-3

    def __call__(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> Instances:
        """See `Suppress`."""
        # Most of the many pairs of proposal and class are dropped immediately.
        likely = scores >= self.least_score
        scores, labels = scores[likely], labels[likely]
        boxes = boxes[likely].mT.contiguous().mT  # contiguous per coordinate: much faster

        def factors_of(place: Tensor) -> Tensor:
            return lowering(box_iou(boxes[place], boxes), labels[place] == labels, self.iou)

        best, places = soft_nms(scores[None], factors_of, self.least_score, self.most)
        real = ~best[0].isneginf()
        kept = places[0, real]
        return _detections(size, boxes[kept], best[0, real], labels[kept])


def _detections(size: tuple[int, int], boxes: Tensor, scores: Tensor, labels: Tensor) -> Instances:
    return Instances(size, pred_boxes=Boxes(boxes), scores=scores, pred_classes=labels)
