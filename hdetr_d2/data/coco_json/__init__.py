"""Reading a COCO-format json, and what can be wrong in it: found before anything trusts it."""

from hdetr_d2.data.coco_json.annotations import evaluation_gaps
from hdetr_d2.data.coco_json.areas import evaluated_area
from hdetr_d2.data.coco_json.box_format import guess_box_format
from hdetr_d2.data.coco_json.categories import Labels, category_mismatch
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.finding import find_problems
from hdetr_d2.data.coco_json.problem import Problem, describe
from hdetr_d2.data.coco_json.reading import read_coco_json

__all__ = [
    "CocoJson",
    "Labels",
    "Problem",
    "category_mismatch",
    "describe",
    "evaluated_area",
    "evaluation_gaps",
    "find_problems",
    "guess_box_format",
    "read_coco_json",
]
