"""COCO's average precision of boxes and masks."""

import contextlib
import io
import json
import logging
import os
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pycocotools.mask as mask_utils
import torch
from detectron2._subset import absent
from detectron2.data import MetadataCatalog
from detectron2.data._tables import many_rows
from detectron2.data.datasets.coco import convert_to_coco_dict
from detectron2.structures import BoxMode, Instances
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import create_small_table
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ._numbered import NumberedTruth
from .evaluator import DatasetEvaluator

__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)

# Which entries of the precisions are averaged: IoU threshold (None = all) and object size.
_METRICS = {
    "AP": (None, "all"),
    "AP50": (0.50, "all"),
    "AP75": (0.75, "all"),
    "APs": (None, "small"),
    "APm": (None, "medium"),
    "APl": (None, "large"),
}


class COCOEvaluator(DatasetEvaluator):
    """AP of boxes and, if there are any, of masks, in percent; nan = cannot be computed."""

    def __init__(
        self,
        dataset_name: str,
        tasks: Sequence[str] | None = None,
        distributed: bool = True,
        output_dir: str | None = None,
        *,
        max_dets_per_image: int | None = None,
        use_fast_impl: bool = True,
    ) -> None:
        """
        Args:
            dataset_name: its metadata have `json_file`, the annotations; otherwise they are derived
                from what the data set returns.
            tasks: of "bbox" and "segm"; None = what the predictions have.
            distributed: collect the predictions of all processes in the first one.
            output_dir: folder for `coco_instances_results.json`; None = not written, which requires
                a data set with a json.
            max_dets_per_image: number of best predictions of an image that count; None = 100.
            use_fast_impl: use faster-coco-eval, which computes the same as pycocotools, many times
                faster; False = use pycocotools.

        Raises:
            ValueError: the data set has no COCO json, and there is no output_dir.
        """
        self._metadata = MetadataCatalog.get(dataset_name)
        self._tasks = tasks
        self._distributed = distributed
        self._output_dir = output_dir
        self._max_dets_per_image = [1, 10, max_dets_per_image or 100]
        self._evaluation = COCOeval_faster if use_fast_impl else COCOeval
        with _silence():
            self._truth = _read_truth(dataset_name, output_dir)
        self.reset()

    def reset(self) -> None:
        self._predictions: list[list[dict]] = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """
        Args:
            inputs: dicts with image_id.
            outputs: dicts with "instances": Instances with pred_boxes (xyxy in pixels of the
                original image), scores, pred_classes and optionally pred_masks.
        """
        for input_, output in zip(inputs, outputs, strict=False):
            if "instances" in output:
                instances = output["instances"].to(torch.device("cpu"))
                self._predictions.append(instances_to_coco_json(instances, input_["image_id"]))

    def evaluate(self, img_ids: Sequence[int] | None = None) -> dict[str, dict[str, float]]:
        """
        Args:
            img_ids: evaluate only these images.

        Returns:
            task -> {"AP", "AP50", "AP75", "APs", "APm", "APl", and with several classes
            "AP-<class>"}; {} in processes other than the first, if no image was processed, or if
            the json has no annotations (then the predictions are only written).
        """
        gathered = gather_predictions(self._predictions, self._distributed)
        if gathered is None:
            return {}
        if not gathered:
            logger.warning("There is nothing to evaluate: no image was processed.")
            return {}
        predictions = to_dataset_ids(list(chain.from_iterable(gathered)), self._metadata)
        if self._output_dir:
            write_json(predictions, self._output_dir, "coco_instances_results.json")
        if "annotations" not in self._truth.dataset:
            logger.info("The json has no annotations to compare with.")
            return {}
        tasks = self._tasks or tasks_of(predictions)
        with _silence():
            truth = NumberedTruth(self._truth)
        images = None if img_ids is None else truth.image_numbers(img_ids)
        return {
            task: self._evaluate_task(task, truth, predictions, images) for task in sorted(tasks)
        }

    def _evaluate_task(
        self, task: str, truth: NumberedTruth, predictions: list[dict], images: list[int] | None
    ) -> dict[str, float]:
        assert task in ("bbox", "segm"), f"The tasks are bbox and segm, not {task}."
        if not predictions:  # pycocotools cannot read an empty list
            logger.warning("The model has found nothing at all.")
            return dict.fromkeys(_METRICS, float("nan"))
        with _silence():
            run = self._evaluation(truth.coco, truth.read(for_task(predictions, task)), task)
            run.params.maxDets = self._max_dets_per_image
            if images is not None:
                run.params.imgIds = images
            run.evaluate()
            run.accumulate()
        return self._derive_coco_results(run, task, self._metadata.get("thing_classes"))

    def _derive_coco_results(
        self, coco_eval: COCOeval, iou_type: str, class_names: Sequence[str] | None = None
    ) -> dict[str, float]:
        """The metrics of an accumulated evaluation, including those of the classes if there are
        several.
        """
        results = {name: _mean_precision(coco_eval, *which) for name, which in _METRICS.items()}
        logger.info(f"Results for {iou_type}:\n" + create_small_table(results))
        if not class_names or len(class_names) <= 1:
            return results
        categories = coco_eval.params.catIds
        assert len(class_names) == len(categories), (
            f"{len(class_names)} class names for {len(categories)} categories of the json"
        )
        rows = [
            (name, _mean_precision(coco_eval, category=i)) for i, name in enumerate(class_names)
        ]
        logger.info(f"AP ({iou_type}) of each class:\n" + many_rows(rows, ("category", "AP")))
        return {**results, **{f"AP-{name}": ap for name, ap in rows}}


def _read_truth(dataset_name: str, output_dir: str | None) -> COCO:
    json_file = MetadataCatalog.get(dataset_name).get("json_file")
    if json_file is not None:
        return COCO(PathManager.get_local_path(os.fspath(json_file)))
    if output_dir is None:
        raise ValueError(f"Dataset '{dataset_name}' has no COCO 'json_file': give an output_dir.")
    truth = COCO()
    truth.dataset = convert_to_coco_dict(dataset_name)
    truth.createIndex()
    return truth


def _mean_precision(
    run: COCOeval, iou: float | None = None, area: str = "all", category: int | None = None
) -> float:
    """Percent, for the largest number of predictions per image; nan = nothing to find."""
    precision = run.eval["precision"][..., run.params.areaRngLbl.index(area), -1]  # [T, R, K]
    if iou is not None:
        precision = precision[np.isclose(run.params.iouThrs, iou)]
    if category is not None:
        precision = precision[..., category]
    known = precision[precision > -1]
    return float(known.mean() * 100) if known.size else float("nan")


def instances_to_coco_json(instances: Instances, img_id: int) -> list[dict]:
    """Predictions of one image as COCO results: boxes xywh, masks as RLE with text counts.

    Args:
        instances: pred_boxes, scores, pred_classes [, pred_masks: Tensor[n, H, W]] on the CPU.
        img_id: goes into every result.
    """
    if len(instances) == 0:
        return []
    boxes = BoxMode.convert(
        instances.pred_boxes.tensor.detach(), BoxMode.XYXY_ABS, BoxMode.XYWH_ABS
    )
    columns = zip(
        instances.pred_classes.tolist(), boxes.tolist(), instances.scores.tolist(), strict=True
    )
    results = [
        {"image_id": img_id, "category_id": label, "bbox": box, "score": score}
        for label, box, score in columns
    ]
    if instances.has("pred_masks"):
        # As soon as possible: the masks of a whole data set would not fit into memory.
        for result, mask in zip(results, instances.pred_masks, strict=True):
            rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
            result["segmentation"] = {**rle, "counts": rle["counts"].decode("ascii")}
    return results


def gather_predictions(predictions: list, distributed: bool) -> list | None:
    """The predictions of all processes; None except in the first."""
    if not distributed:
        return predictions
    comm.synchronize()
    gathered = comm.gather(predictions, dst=0)
    return list(chain.from_iterable(gathered)) if comm.is_main_process() else None


def to_dataset_ids(predictions: list[dict], metadata: object) -> list[dict]:
    """Copies of the predictions with the category ids of the json; unchanged without a known
    mapping.

    Raises:
        AssertionError: a class that the data set does not have.
    """
    if not hasattr(metadata, "thing_dataset_id_to_contiguous_id"):
        return [dict(p) for p in predictions]
    ids = {i: category_id for category_id, i in metadata.thing_dataset_id_to_contiguous_id.items()}
    for p in predictions:
        assert p["category_id"] in ids, (
            f"The model has predicted class={p['category_id']}, but the data set has the classes "
            f"[0, {len(ids) - 1}]."
        )
    return [{**p, "category_id": ids[p["category_id"]]} for p in predictions]


def tasks_of(predictions: list[dict]) -> list[str]:
    return ["bbox", "segm"] if any("segmentation" in p for p in predictions) else ["bbox"]


def for_task(predictions: list[dict], task: str) -> list[dict]:
    """Copies that an evaluation may modify; without boxes for masks, because otherwise object sizes
    would be measured by boxes.
    """
    left_out = "bbox" if task == "segm" else "segmentation"
    return [{k: v for k, v in p.items() if k != left_out} for p in predictions]


def write_json(predictions: list[dict], output_dir: str, name: str) -> None:
    PathManager.mkdirs(output_dir)
    path = os.path.join(output_dir, name)
    logger.info(f"Writing {len(predictions)} predictions to {path}")
    with PathManager.open(path, "w", encoding="utf-8") as f:
        json.dump(predictions, f)


def _silence() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())
