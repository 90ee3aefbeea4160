"""Panoptic DETR R50: the mask head of a model of boxes, which is frozen, 25 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_panoptic_r50_25ep.py
           train.init_checkpoint=CHECKPOINT, that of
           configs/detr/detr_panoptic_boxes_r50_300ep.py
Hours:     not measured
Published: AP 38.8, of masks 31.1, PQ 43.4 (COCO val2017)
Smoke run: any panoptic data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from detectron2.config import LazyCall as L
from detectron2.evaluation import DatasetEvaluators

from ..common.data.coco_panoptic import data, dataloader, things_evaluator
from ..common.masks import masks_only, panoptic
from ..common.models.detr_masks import model
from ..common.optim import detr_optimizer as optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

model.update(masks_only)
model.postprocessing.update(panoptic)
dataloader.evaluator = L(DatasetEvaluators)(evaluators=[dataloader.evaluator, things_evaluator])

train.output_dir = "output/detr_panoptic_r50_25ep"
train.epochs = 25
train.checkpoint.best_metric = "panoptic_seg/PQ"
lr_multiplier.milestones = [15]
