"""Evaluators for configs: COCO's and LVIS's metrics."""

from detectron2.evaluation import COCOEvaluator

from hdetr_d2.evaluation.lvis_evaluator import LVISEvaluator
from hdetr_d2.evaluation.lvis_shim import import_lvis

__all__ = ["COCOEvaluator", "LVISEvaluator", "import_lvis"]
