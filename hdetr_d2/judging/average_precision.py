"""COCO's average precision and recall, overall and per class."""

import contextlib
import io

import numpy as np
from faster_coco_eval import COCOeval_faster

from hdetr_d2.judging.numbered import Numbered

# Name -> array of the evaluation, IoU threshold (None: mean over all), object size.
_WHICH = {
    "AP": ("precision", None, "all"),
    "AP50": ("precision", 0.50, "all"),
    "AP75": ("precision", 0.75, "all"),
    "APs": ("precision", None, "small"),
    "APm": ("precision", None, "medium"),
    "APl": ("precision", None, "large"),
    "AR": ("recall", None, "all"),
}
COLUMNS = tuple(_WHICH)


def average_precision(data: Numbered, max_dets: int = 100) -> dict[str, np.ndarray]:
    """The metrics of pycocotools for each class and, as the last value, overall, by the names in
    `COLUMNS`: float [K + 1] in [0, 1], nan where there are no objects.

    Args:
        max_dets: limit on detections per image and class.
    """
    classes = len(data.class_names)
    if not data.truth.anns or not data.found.anns:
        return _without_detections(data)
    run = COCOeval_faster(data.truth, data.found, data.task)
    run.params.maxDets = [max_dets]
    with contextlib.redirect_stdout(io.StringIO()):
        run.evaluate()
        run.accumulate()
    result = {}
    for name, (kind, iou, size) in _WHICH.items():
        values = np.asarray(run.eval[kind])[..., run.params.areaRngLbl.index(size), -1]
        values = values if iou is None else values[np.isclose(run.params.iouThrs, iou)]
        of_classes = values.reshape(-1, classes)
        result[name] = np.array([*map(mean_of_known, of_classes.T), mean_of_known(of_classes)])
    return result


def mean_of_known(values: np.ndarray) -> float:
    """The mean of precisions or recalls as returned by pycocotools, where -1 means unknown; nan if
    all are unknown.
    """
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def _without_detections(data: Numbered) -> dict[str, np.ndarray]:
    """0 where there are objects, otherwise nan: the fast evaluation cannot handle an empty list."""
    zeros = {}
    sizes = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    for name, (_, _, size) in _WHICH.items():
        low, high = sizes.get(size, (0, 1e10))
        there = {
            each["category_id"] - 1
            for each in data.truth.anns.values()
            if not each.get("iscrowd", 0) and low <= each["area"] <= high
        }
        values = [0.0 if k in there else float("nan") for k in range(len(data.class_names))]
        zeros[name] = np.array([*values, 0.0 if there else float("nan")])
    return zeros
