"""Maps predictions from the model's input size back to the original image."""

import torch
import torch.nn.functional as F
from detectron2._subset import absent
from detectron2.structures import Instances
from torch import Tensor

__all__ = ["detector_postprocess"]

__getattr__ = absent(__name__)


def detector_postprocess(
    results: Instances, output_height: int, output_width: int, mask_threshold: float = 0.5
) -> Instances:
    """Scales predictions to an image of the given size, clips them, and drops boxes that become
    empty.

    Args:
        results: predictions with `pred_boxes` in pixels of `results.image_size`, changed in place.
            `pred_masks`, if there, is Tensor[N, 1, M, M]: probabilities on a grid over each box.
        mask_threshold: the probability from which a pixel belongs to the object.

    Returns:
        the remaining predictions; `pred_masks` is then bool Tensor[N, output_height, output_width].
    """
    height, width = results.image_size
    scaled = Instances((output_height, output_width), **results.get_fields())
    scaled.pred_boxes.scale(output_width / width, output_height / height)
    scaled.pred_boxes.clip(scaled.image_size)
    scaled = scaled[scaled.pred_boxes.nonempty()]
    if scaled.has("pred_masks"):
        probabilities = _paste(scaled.pred_masks, scaled.pred_boxes.tensor, scaled.image_size)
        scaled.pred_masks = probabilities >= mask_threshold
    return scaled


def _paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Tensor[N, H, W]: the masks, Tensor[N, 1, M, M], stretched over their boxes, 0 outside."""

    def positions(length: int, low: Tensor, high: Tensor) -> Tensor:  # [N, length], -1 .. 1 inside
        centers = torch.arange(length, device=boxes.device) + 0.5
        return (centers - low[:, None]) / (high - low)[:, None] * 2 - 1

    x = positions(size[1], boxes[:, 0], boxes[:, 2])[:, None, :].expand(-1, *size)
    y = positions(size[0], boxes[:, 1], boxes[:, 3])[:, :, None].expand(-1, *size)
    pasted = F.grid_sample(masks.float(), torch.stack((x, y), dim=3), align_corners=False)
    return pasted[:, 0]
