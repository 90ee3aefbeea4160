"""Reading of COCO-format jsons, and detection of their errors before anything relies on them."""

from hdetr_d2.data.coco_json.annotations import evaluation_gaps
from hdetr_d2.data.coco_json.areas import evaluated_area
from hdetr_d2.data.coco_json.box_format import guess_box_format
from hdetr_d2.data.coco_json.categories import (
    Labels,
    category_mismatch,
    labels_of,
    unused_classes,
)
from hdetr_d2.data.coco_json.changes import (
    crowds_as_objects,
    with_sizes,
    with_sound_masks,
    without_classes,
    without_images,
)
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.finding import find_problems
from hdetr_d2.data.coco_json.problem import Problem, describe, describe_image
from hdetr_d2.data.coco_json.reading import read_coco_json
from hdetr_d2.data.coco_json.segmentations import MissingMasks

__all__ = [
    "CocoJson",
    "Labels",
    "Problem",
    "MissingMasks",
    "category_mismatch",
    "crowds_as_objects",
    "describe",
    "describe_image",
    "evaluated_area",
    "evaluation_gaps",
    "find_problems",
    "guess_box_format",
    "labels_of",
    "read_coco_json",
    "unused_classes",
    "with_sizes",
    "with_sound_masks",
    "without_classes",
    "without_images",
]
