"""Using a trained model: from a checkpoint and images to boxes, files and pictures."""

from .prediction import predict
from .predictor import Predictor
from .results import Result, coco_content, coco_results

__all__ = ["Predictor", "Result", "coco_content", "coco_results", "predict"]
