"""LVIS's average precision of boxes and masks, by the `lvis` package."""

import contextlib
import io
import logging
from collections.abc import Sequence
from itertools import chain

import torch
from detectron2._subset import absent
from detectron2.data import MetadataCatalog
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import create_small_table

from .coco_evaluation import (
    for_task,
    gather_predictions,
    instances_to_coco_json,
    tasks_of,
    to_dataset_ids,
    write_json,
)
from .evaluator import DatasetEvaluator

__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)

_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")


class LVISEvaluator(DatasetEvaluator):
    """AP of boxes and, if there are any, of masks, in percent.

    A class counts in an image only if the image has it or is known not to have it. Like Detectron2,
    it gives -100 for what cannot be computed, such as the AP of rare classes if there are none.
    """

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
    ) -> None:
        """
        Args:
            dataset_name: its metadata must have `json_file`, the annotations.
            tasks: of "bbox" and "segm"; None = what the predictions have.
            distributed: collect the predictions of all processes in the first one.
            output_dir: folder for `lvis_instances_results.json`; None = not written.
            max_dets_per_image: number of best predictions of an image that count; None = 300.
        """
        from lvis import LVIS

        self._metadata = MetadataCatalog.get(dataset_name)
        self._tasks = tasks
        self._distributed = distributed
        self._output_dir = output_dir
        self._max_dets = max_dets_per_image or 300
        self._truth = LVIS(PathManager.get_local_path(self._metadata.json_file))
        self.reset()

    def reset(self) -> None:
        self._predictions: list[list[dict]] = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """
        Args:
            inputs: dicts with image_id.
            outputs: dicts with "instances", see `COCOEvaluator`.
        """
        for input_, output in zip(inputs, outputs, strict=False):
            instances = output["instances"].to(torch.device("cpu"))
            self._predictions.append(instances_to_coco_json(instances, input_["image_id"]))

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """
        Returns:
            task -> {"AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"} (r, c, f: rare,
            common and frequent classes); {} if no image was processed or the json has no
            annotations; None in processes other than the first.
        """
        gathered = gather_predictions(self._predictions, self._distributed)
        if gathered is None:
            return None
        if not gathered:
            logger.warning("There is nothing to evaluate: no image was processed.")
            return {}
        predictions = self._to_dataset_ids(list(chain.from_iterable(gathered)))
        if self._output_dir:
            write_json(predictions, self._output_dir, "lvis_instances_results.json")
        if not self._truth.get_ann_ids():
            logger.info("The json has no annotations to compare with.")
            return {}
        tasks = self._tasks or tasks_of(predictions)
        return {task: self._evaluate_task(task, predictions) for task in sorted(tasks)}

    def _to_dataset_ids(self, predictions: list[dict]) -> list[dict]:
        if hasattr(self._metadata, "thing_dataset_id_to_contiguous_id"):
            return to_dataset_ids(predictions, self._metadata)
        return [{**p, "category_id": p["category_id"] + 1} for p in predictions]

    def _evaluate_task(self, task: str, predictions: list[dict]) -> dict[str, float]:
        from lvis import LVISEval, LVISResults

        if not predictions:
            logger.warning("The model has found nothing at all.")
            return dict.fromkeys(_METRICS, float("nan"))
        with contextlib.redirect_stdout(io.StringIO()):
            found = LVISResults(self._truth, for_task(predictions, task), max_dets=self._max_dets)
            run = LVISEval(self._truth, found, task)
            run.run()
        results = {name: float(run.get_results()[name] * 100) for name in _METRICS}
        logger.info(f"Results for {task}:\n" + create_small_table(results))
        return results
