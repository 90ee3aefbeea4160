"""Which classes are confused with each other, or with background."""

import numpy as np
import pycocotools.mask as mask_utils

from hdetr_d2.judging.matches import Matches
from hdetr_d2.judging.numbered import Numbered


def confusion_matrix(
    data: Numbered, matches: Matches, *, threshold: float | np.ndarray, iou: float = 0.5
) -> np.ndarray:
    """Counts of objects by true class and detected class, int [K + 1, K + 1].

    Rows are true classes, columns detected classes; the last row counts false positives, the last
    column missed objects. Detections and objects of an image whose IoU exceeds `iou` are paired one
    to one: pairs of the same class first, then by decreasing IoU (the rule of the package
    `supervision`). Unpaired detections on a crowd of their class are not counted, nor are crowds.

    Args:
        matches: determines the detections that count.
        threshold: the minimum score, either for all classes or per class, float [K].
    """
    classes = len(data.class_names)
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    least = np.broadcast_to(threshold, classes)
    for image, found in enumerate(matches.by_image(len(data.images))):
        kept = found[matches.scores[found] >= least[matches.labels[found]]]
        detections = [data.found.anns[int(place) + 1] for place in np.sort(matches.places[kept])]
        _count(matrix, data.truth.imgToAnns.get(image + 1, []), detections, data.task, iou)
    return matrix


def _count(
    matrix: np.ndarray, annotations: list[dict], detections: list[dict], task: str, iou: float
) -> None:
    """Adds one image to the matrix."""
    nothing = len(matrix) - 1
    crowd = np.array([bool(each.get("iscrowd", 0)) for each in annotations], bool)
    true = np.array([each["category_id"] - 1 for each in annotations], np.int64)
    found = np.array([each["category_id"] - 1 for each in detections], np.int64)
    overlaps = _overlaps(detections, annotations, task)  # [D, G]
    columns, rows = _pairs(overlaps, found, true, crowd, iou)
    np.add.at(matrix, (true[rows], found[columns]), 1)
    missed = ~crowd
    missed[rows] = False
    np.add.at(matrix, (true[missed], nothing), 1)
    of_crowd = (overlaps >= iou) & crowd & (found[:, None] == true)
    alone = ~of_crowd.any(1)
    alone[columns] = False
    np.add.at(matrix, (nothing, found[alone]), 1)


def _pairs(
    overlaps: np.ndarray, found: np.ndarray, true: np.ndarray, crowd: np.ndarray, iou: float
) -> tuple[list[int], list[int]]:
    """The paired detections, and the objects that they are paired with."""
    detections, objects = np.nonzero((overlaps > iou) & ~crowd)
    others = found[detections] != true[objects]
    order = np.lexsort((-overlaps[detections, objects], others))
    columns: list[int] = []
    rows: list[int] = []
    for detection, index in zip(detections[order].tolist(), objects[order].tolist(), strict=True):
        if detection not in columns and index not in rows:
            columns.append(detection)
            rows.append(index)
    return columns, rows


def _overlaps(detections: list[dict], annotations: list[dict], task: str) -> np.ndarray:
    """IoU, float [D, G]; for a crowd, the fraction of the detection that is inside it."""
    if not detections or not annotations:
        return np.zeros((len(detections), len(annotations)))
    # The matching has converted masks to run lengths
    key = "segmentation" if task == "segm" else "bbox"
    shapes = [[each[key] for each in entries] for entries in (detections, annotations)]
    crowds = [int(each.get("iscrowd", 0)) for each in annotations]
    return np.asarray(mask_utils.iou(*shapes, crowds))
