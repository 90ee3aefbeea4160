"""From the boxes of a head to detections."""

from dataclasses import dataclass

from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.ops import batched_nms


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Non-maximum suppression: of boxes of one class that overlap, the best is left.

    iou: from which on they do. most: detections of an image. least_score: a detection has more.
    """

    iou: float
    most: int = 100
    least_score: float = 0.0

    def __call__(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int]
    ) -> Instances:
        """The detections of one image of `size` (h, w), the best first.

        Args:
            boxes: `Tensor[N, 4]` xyxy in pixels.
            scores: `Tensor[N]`.
            labels: `Tensor[N]`.
        """
        kept = batched_nms(boxes, scores, labels, self.iou)[: self.most]
        kept = kept[scores[kept] > self.least_score]
        return Instances(
            size, pred_boxes=Boxes(boxes[kept]), scores=scores[kept], pred_classes=labels[kept]
        )
