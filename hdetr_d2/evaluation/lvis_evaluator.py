"""LVIS metrics that work with current numpy."""

from typing import Any

from detectron2.evaluation import LVISEvaluator as _LVISEvaluator

from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.data.opening import evaluate_on_whole_json
from hdetr_d2.evaluation.limits import check_limit
from hdetr_d2.evaluation.run_lengths import TakesRunLengths


class LVISEvaluator(TakesRunLengths, _LVISEvaluator):
    """Detectron2's LVIS evaluator, with the same arguments.

    The `lvis` package is patched before it is used. Metrics that cannot be computed (such as the AP
    of rare classes in a data set without any) are nan, as in the COCO evaluator, instead of -100.

    Its ground truth is a completed json (see `whole_json`).

    Raises:
        UserError: the `lvis` package is not installed.
        ValueError: `max_dets_per_image` is neither a positive integer nor None.
    """

    def __init__(
        self, dataset_name: str, *args: Any, max_dets_per_image: int | None = None, **kwargs: Any
    ) -> None:
        check_limit(max_dets_per_image)
        import_lvis()
        evaluate_on_whole_json(dataset_name)
        super().__init__(dataset_name, *args, max_dets_per_image=max_dets_per_image, **kwargs)

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        results = super().evaluate()
        if results is None:
            return None
        return {task: _without_negatives(scores) for task, scores in results.items()}


def _without_negatives(scores: dict[str, float]) -> dict[str, float]:
    return {name: score if score >= 0 else float("nan") for name, score in scores.items()}
