"""Non-maximum suppression."""

from detectron2._subset import absent
from torch import Tensor
from torchvision.ops import boxes as box_ops

__all__ = ["batched_nms"]

__getattr__ = absent(__name__)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes kept, by falling score; only boxes of the same class compete.

    Args:
        boxes: Tensor[N, 4] of any float type, corners.
        scores: Tensor[N].
        idxs: Tensor[N], the class.
    """
    # Half precision cannot tell the offsets by which torchvision keeps the classes apart.
    return box_ops.batched_nms(boxes.float(), scores, idxs, iou_threshold)
