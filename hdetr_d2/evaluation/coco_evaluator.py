"""COCO metrics, robust to unusual annotation ids and detection limits."""

import logging
from collections.abc import Sequence
from typing import Any

from detectron2.evaluation import COCOEvaluator as _COCOEvaluator
from pycocotools.cocoeval import COCOeval

from hdetr_d2.data.opening import evaluate_on_whole_json
from hdetr_d2.evaluation.doubles import IOU, Doubles, average_recall
from hdetr_d2.evaluation.limits import check_limit
from hdetr_d2.evaluation.run_lengths import TakesRunLengths

logger = logging.getLogger(__name__)

WORTH_SAYING = 1.0  # in points of AP


class COCOEvaluator(TakesRunLengths, _COCOEvaluator):
    """Detectron2's evaluator, with the same arguments.

    Its ground truth is a completed json (see `whole_json`). Every AP in its table uses
    `max_dets_per_image` detections per image and class: Detectron2 uses 10 if fewer are requested,
    because COCO sorts its three limits and takes the largest.

    The results for boxes have three more entries, in percent: `AR` (average recall) and, about
    duplicates (see `Doubles`), `AP_nms`, the AP without duplicates, and `doubles`, the fraction of
    duplicates.
    """

    def __init__(
        self, dataset_name: str, *args: Any, max_dets_per_image: int | None = None, **kwargs: Any
    ) -> None:
        """
        Raises:
            ValueError: `max_dets_per_image` is neither a positive integer nor None.
        """
        check_limit(max_dets_per_image)
        evaluate_on_whole_json(dataset_name)
        super().__init__(dataset_name, *args, max_dets_per_image=max_dets_per_image, **kwargs)
        most = max_dets_per_image or 100
        self._max_dets_per_image = [min(1, most), min(10, most), most]

    def _derive_coco_results(
        self, coco_eval: COCOeval | None, iou_type: str, class_names: Sequence[str] | None = None
    ) -> dict[str, float]:
        results = super()._derive_coco_results(coco_eval, iou_type, class_names)
        if coco_eval is None or iou_type != "bbox":
            return results
        doubles = Doubles.of(coco_eval)
        say_what_doubles_cost(results["AP"], doubles)
        more = {"AR": average_recall(coco_eval), "AP_nms": doubles.ap, "doubles": doubles.share}
        return {**results, **more}


def say_what_doubles_cost(ap: float, doubles: Doubles) -> None:
    """Logs how much AP duplicates cost, if it is at least one point."""
    if doubles.ap - ap >= WORTH_SAYING:
        logger.info(
            f"Duplicates cost {doubles.ap - ap:.1f} AP: {doubles.share:.0f}% of the best "
            f"detections overlap a better one of their class by more than {IOU}; without them AP "
            f"would be {doubles.ap:.1f}, not {ap:.1f}. Train longer, use NMSPairs as "
            "model.postprocessing.pick, or choose another scheme (docs/WHICH_SCHEME.md)."
        )
