"""The AP of a detector, whatever runs it, by pycocotools."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hdetr_d2.runtime import coco_results
from hdetr_d2.runtime.predictor import Detector


def average_precision(detector: Detector, annotations: str, photos: str) -> tuple[float, float]:
    """AP and AP50 in [0, 1], processing all images one by one.

    Args:
        annotations: COCO's json; categories are matched by name.
        photos: folder of its images.
    """
    content = json.loads(Path(annotations).read_text(encoding="utf-8"))
    ids = {category["name"]: category["id"] for category in content["categories"]}
    results = []
    for image in content["images"]:
        item = detector.read({"file_name": str(Path(photos) / image["file_name"])})
        (shapes,) = detector.find([item])
        results += coco_results(
            shapes, detector.class_names, image_id=image["id"], file_name=image["file_name"]
        )
    for result in results:
        result["category_id"] = ids[result["category_name"]]
    with redirect_stdout(io.StringIO()):
        truth = COCO(annotations)
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])
