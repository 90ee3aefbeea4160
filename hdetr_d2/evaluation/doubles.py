"""How much AP a detector loses through duplicates."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import torch
from pycocotools.cocoeval import COCOeval
from torchvision.ops import batched_nms

from hdetr_d2.judging.average_precision import mean_of_known
from hdetr_d2.utils.device import on_host

IOU = 0.7
"""Two boxes of the same class in an image with a higher IoU count as the same object."""

Marked: TypeAlias = dict[int, list[tuple[dict, bool]]]
"""Image -> its detections, best first, each with whether it is a duplicate of a better one."""


class Doubles(NamedTuple):
    """The effect of duplicates on an evaluation, in percent; nan if it cannot be computed.

    share: the fraction of duplicates among the best n detections of every image with n objects. ap:
    the AP without duplicates, i.e. after non-maximum suppression within each class.
    """

    share: float
    ap: float

    @classmethod
    def of(cls, run: COCOeval) -> "Doubles":
        """`run`: an accumulated evaluation of boxes; it is not changed."""
        marked = _mark(run)
        return cls(100 * _share(run, marked), 100 * _precision(run, marked))


def average_recall(run: COCOeval) -> float:
    """Average recall in percent, for the largest number of detections per image; nan without
    objects.
    """
    everything = run.params.areaRngLbl.index("all")
    return 100 * mean_of_known(run.eval["recall"][..., everything, -1])


def _mark(run: COCOeval) -> Marked:
    found: dict[int, list[dict]] = {image: [] for image in run.params.imgIds}
    for detection in run.cocoDt.anns.values():
        if detection["image_id"] in found:
            found[detection["image_id"]].append(detection)
    labels = {category: label for label, category in enumerate(run.params.catIds)}
    return {image: _mark_image(each, labels) for image, each in found.items() if each}


@on_host()
def _mark_image(detections: list[dict], labels_of: Mapping[int, int]) -> list[tuple[dict, bool]]:
    best_first = sorted(detections, key=lambda detection: -detection["score"])
    boxes = torch.tensor([each["bbox"] for each in best_first], dtype=torch.float64)  # xywh
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([labels_of[each["category_id"]] for each in best_first])
    places = torch.arange(len(best_first))
    kept = set(batched_nms(boxes, -places.double(), labels, IOU).tolist())
    return [(each, place not in kept) for place, each in enumerate(best_first)]


def _share(run: COCOeval, marked: Marked) -> float:
    objects = defaultdict[int, int](int)
    for truth in run.cocoGt.anns.values():
        objects[truth["image_id"]] += not truth.get("iscrowd", 0)
    first = [double for image, found in marked.items() for _, double in found[: objects[image]]]
    return sum(first) / len(first) if first else float("nan")


def _precision(run: COCOeval, marked: Marked) -> float:
    singles = [each for found in marked.values() for each, double in found if not double]
    everything = run.params.areaRngLbl.index("all")
    with contextlib.redirect_stdout(io.StringIO()):
        again = type(run)(run.cocoGt, run.cocoGt.loadRes(singles), "bbox")
        for option in ("imgIds", "catIds", "maxDets", "useCats", "iouThrs", "recThrs"):
            setattr(again.params, option, getattr(run.params, option))
        again.params.areaRng, again.params.areaRngLbl = [run.params.areaRng[everything]], ["all"]
        again.evaluate()
        again.accumulate()
    return mean_of_known(again.eval["precision"][..., 0, -1])
