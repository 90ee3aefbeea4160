"""From predictions to Detectron2's outputs, in pixels of the original images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import Tensor

from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.panoptic import PanopticMerger
from hdetr_d2.modeling.picks import BestPairs, Pick
from hdetr_d2.modeling.segmentation import add_masks, add_panoptic
from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.structures import ImageMaps, Outline
from hdetr_d2.utils.device import to_device

if TYPE_CHECKING:
    from hdetr_d2.modeling.meta_arch import DETR


class PostProcessing:
    """Detections from the main queries, with masks if the model has a mask head.

    training_only: prefixes of the parameters that it does not need.

    Args:
        num_select: maximum number of detections per image.
        pick: selects them; None for `BestPairs`.
        panoptic: merges the masks of an image into a panoptic segmentation; None for none.
    """

    training_only: Sequence[str] = ("schemes", "scheme_slots")

    def __init__(
        self,
        *,
        num_select: int = 100,
        pick: Pick | None = None,
        panoptic: PanopticMerger | None = None,
    ) -> None:
        self.num_select = num_select
        self.pick = pick or BestPairs()
        self.panoptic = panoptic

    def check_masks(self, mask_head: MaskHead | None) -> None:
        """Raises ValueError for a model without the masks to merge, or with masks that it cannot
        use.
        """
        if self.panoptic is not None and mask_head is None:
            raise ValueError(
                "model.postprocessing.panoptic needs model.mask_head, whose masks it merges."
            )

    def __call__(
        self, model: "DETR", maps: ImageMaps, batched_inputs: Sequence[dict]
    ) -> list[dict]:
        """The outputs of `DETR.forward` in evaluation."""
        predictions = model.predict(maps.memory)
        scores = model.scores(predictions)
        detections = self.detections(scores, predictions.boxes[-1], maps.frames)
        outputs = to_original_size(detections, batched_inputs)
        if model.mask_head is not None:
            outlines = [Outline.of(item) for item in batched_inputs]
            add_masks(outputs, model.mask_head, predictions, maps, outlines)
            if self.panoptic is not None:
                merged = (model.mask_head, self.panoptic, scores, predictions, maps, outlines)
                add_panoptic(outputs, *merged)
        return outputs

    def detections(
        self, scores: Tensor, boxes: Tensor, frames: Sequence[tuple[int, int]]
    ) -> list[Instances]:
        """The detections of each image, in the order of `pick`.

        Args:
            scores: `Tensor[B, Q, K]`.
            boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1].
            frames: (H, W) in pixels, to which the boxes of each image are normalised.

        Returns:
            Instances with `pred_boxes` (xyxy in pixels of the model's input, not clipped),
            `scores`, `pred_classes` and `pred_queries` (index of the query).
        """
        best, labels, queries = self.pick(scores, boxes, self.num_select)
        scale = to_device([(w, h, w, h) for h, w in frames], boxes)
        xyxy = box_cxcywh_to_xyxy(boxes) * scale[:, None]
        xyxy = xyxy.gather(1, queries[..., None].expand(-1, -1, 4))
        per_image = zip(frames, xyxy, best, labels, queries, strict=True)
        found = [
            Instances(
                size, pred_boxes=Boxes(box), scores=score, pred_classes=label, pred_queries=query
            )
            for size, box, score, label, query in per_image
        ]
        return [instances[~instances.scores.isneginf()] for instances in found]


def to_original_size(detections: Sequence[Instances], batched_inputs: Sequence[dict]) -> list[dict]:
    """Detectron2's outputs: boxes are mapped from each input's "outline" to its "height" and
    "width" and clipped; empty ones are removed.
    """
    outputs = []
    for instances, item in zip(detections, batched_inputs, strict=True):
        # Not the size stored in the detections, which may include padding.
        height, width = item["image"].shape[-2:]
        own = Instances((height, width), **instances.get_fields())
        if "outline" in item:
            outline = Outline.of(item)
            # A ratio may be computed from fractional pixels.
            own = Instances(outline.size, **instances.get_fields())  # type: ignore[arg-type]
            own.pred_boxes = Boxes(outline.boxes(own.pred_boxes.tensor))
        scaled = detector_postprocess(own, item.get("height", height), item.get("width", width))
        outputs.append({"instances": scaled})
    return outputs
