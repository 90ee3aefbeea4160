"""COCO's metrics, whatever the ids of the annotations and the limit of detections are."""

from typing import Any

from detectron2.evaluation import COCOEvaluator as _COCOEvaluator

from hdetr_d2.data.opening import evaluate_on_whole_json
from hdetr_d2.evaluation.limits import check_limit
from hdetr_d2.evaluation.run_lengths import TakesRunLengths


class COCOEvaluator(TakesRunLengths, _COCOEvaluator):
    """Detectron2's evaluator, with the same arguments.

    Its ground truth is a whole json (see `whole_json`). And every AP of its table is that of
    `max_dets_per_image` detections of an image and class: Detectron2 takes 10 for less than 10,
    because COCO sorts its three limits and the largest is used.
    """

    def __init__(
        self, dataset_name: str, *args: Any, max_dets_per_image: int | None = None, **kwargs: Any
    ) -> None:
        """
        Raises:
            ValueError: `max_dets_per_image` is no positive whole number.
        """
        check_limit(max_dets_per_image)
        evaluate_on_whole_json(dataset_name)
        super().__init__(dataset_name, *args, max_dets_per_image=max_dets_per_image, **kwargs)
        most = max_dets_per_image or 100
        self._max_dets_per_image = [min(1, most), min(10, most), most]
