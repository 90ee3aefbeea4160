"""LVIS v1: annotations in datasets/lvis, COCO's images in datasets/coco; 300 detections count."""

from detectron2.config import LazyCall as L

from hdetr_d2.evaluation import LVISEvaluator

from .coco import data, dataloader

__all__ = ["data", "dataloader"]

data.update(train_name="lvis_v1_train", val_name="lvis_v1_val")

dataloader.evaluator = L(LVISEvaluator)(
    dataset_name="${data.val_name}",
    output_dir="${train.output_dir}/inference",
    max_dets_per_image=300,
)
