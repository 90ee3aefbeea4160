"""From predictions to detections in pixels."""

from collections.abc import Sequence

from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.utils.device import to_device


def top_detections(
    scores: Tensor, boxes: Tensor, image_sizes: Sequence[tuple[int, int]], num_select: int
) -> list[Instances]:
    """The best (query, class) pairs of each image; a query may appear with several classes.

    Args:
        scores: `Tensor[B, Q, K]`.
        boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1].
        image_sizes: (H, W) of each image as it was fed, without padding.
        num_select: pairs kept, all of them if there are fewer.

    Returns:
        Instances with `pred_boxes` (xyxy in pixels of the fed image, not clipped), `scores` and
        `pred_classes`, best first.
    """
    num_classes = scores.shape[-1]
    flat = scores.flatten(1)
    best, index = flat.topk(min(num_select, flat.shape[1]), dim=1)
    query, labels = index // num_classes, index % num_classes
    scale = to_device([(w, h, w, h) for h, w in image_sizes], boxes)
    xyxy = box_cxcywh_to_xyxy(boxes) * scale[:, None]
    xyxy = xyxy.gather(1, query[..., None].expand(-1, -1, 4))
    return [
        Instances(size, pred_boxes=Boxes(box), scores=score, pred_classes=label)
        for size, box, score, label in zip(image_sizes, xyxy, best, labels, strict=True)
    ]


def to_original_size(detections: Sequence[Instances], batched_inputs: Sequence[dict]) -> list[dict]:
    """Detectron2's outputs: boxes scaled to each input's "height" and "width", clipped, the empty
    ones left out.
    """
    outputs = []
    for instances, item in zip(detections, batched_inputs, strict=True):
        height, width = instances.image_size
        scaled = detector_postprocess(
            instances, item.get("height", height), item.get("width", width)
        )
        outputs.append({"instances": scaled})
    return outputs
