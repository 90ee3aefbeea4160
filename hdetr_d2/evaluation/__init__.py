"""Evaluators for configs: COCO's and LVIS's metrics."""

from detectron2.evaluation import COCOEvaluator

from hdetr_d2.data.lvis_shim import import_lvis
from hdetr_d2.evaluation.lvis_evaluator import LVISEvaluator

__all__ = ["COCOEvaluator", "LVISEvaluator", "import_lvis"]
