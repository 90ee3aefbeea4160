"""LVIS v1 under Detectron2's names (folders `lvis` and `coco` next to each other); 300 detections of an image count."""

from detectron2.config import LazyCall as L

from hdetr_d2.evaluation import LVISEvaluator

from .coco import data, dataloader

data.train.name = "lvis_v1_train"
data.val.name = "lvis_v1_val"

dataloader.evaluator = L(LVISEvaluator)(
    dataset_name="${data.val.name}",
    output_dir="${train.output_dir}/inference",
    max_dets_per_image=300,
)
