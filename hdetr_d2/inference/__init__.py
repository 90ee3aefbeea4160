"""Inference: from a checkpoint and images to detections, files and pictures."""

from hdetr_d2.inference.prediction import predict
from hdetr_d2.runtime import (
    InferenceOptions,
    Predictor,
    Result,
    Results,
    coco_content,
    coco_results,
)

__all__ = [
    "InferenceOptions",
    "Predictor",
    "Result",
    "Results",
    "coco_content",
    "coco_results",
    "predict",
]
