"""Evaluators for configs: COCO and LVIS metrics, panoptic quality."""

from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.evaluation.coco_evaluator import COCOEvaluator
from hdetr_d2.evaluation.lvis_evaluator import LVISEvaluator
from hdetr_d2.evaluation.panoptic_evaluator import PanopticEvaluator
from hdetr_d2.evaluation.things_evaluator import ThingsEvaluator

__all__ = [
    "COCOEvaluator",
    "LVISEvaluator",
    "PanopticEvaluator",
    "ThingsEvaluator",
    "import_lvis",
]
