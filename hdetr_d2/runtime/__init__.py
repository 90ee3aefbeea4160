"""Applies trained models, independent of the runtime. Needs only numpy, Pillow and the runtime of
the model file; code that needs PyTorch is imported only when a file requires it.
"""

from hdetr_d2.runtime.collected import Results
from hdetr_d2.runtime.options import InferenceOptions
from hdetr_d2.runtime.predictor import Predictor
from hdetr_d2.runtime.results import Result, coco_content, coco_results
from hdetr_d2.runtime.shapes import Shapes

__all__ = [
    "InferenceOptions",
    "Predictor",
    "Result",
    "Results",
    "Shapes",
    "coco_content",
    "coco_results",
]
