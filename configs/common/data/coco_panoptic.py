"""COCO 2017's panoptic segments, things and stuff, in coco/annotations below $DETECTRON2_DATASETS
or datasets.

The evaluator does not need panopticapi. Detectron2's own, if both are installed:
dataloader.evaluator._target_=detectron2.evaluation.COCOPanopticEvaluator
"""

import os

from detectron2.config import LazyCall as L

from hdetr_d2.data import PanopticMapper
from hdetr_d2.evaluation import PanopticEvaluator, ThingsEvaluator

from .coco import data, dataloader

__all__ = ["data", "dataloader", "things_evaluator"]

_root = os.path.join(os.getenv("DETECTRON2_DATASETS", "datasets"), "coco/")
for split in ("train", "val"):
    data[f"{split}_name"] = f"coco_2017_{split}_all_segments"
    data[f"{split}_json"] = f"{_root}annotations/panoptic_{split}2017.json"
    data[f"{split}_images"] = f"{_root}{split}2017"
    data[f"{split}_panoptic"] = f"{_root}annotations/panoptic_{split}2017"
# Set again from the json.
data.update(num_classes=133, thing_classes=[*range(80)])

dataloader.train.mapper._target_ = PanopticMapper
dataloader.train.mapper.with_masks = True
dataloader.evaluator = L(PanopticEvaluator)(dataset_name="${data.val_name}")
# AP of boxes and masks, on COCO's instances.
things_evaluator = L(ThingsEvaluator)(dataset_name="coco_2017_val")
