"""DETR R50, boxes of things and stuff, 300 epochs: what the panoptic models start from.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4
Command:   python train_net.py --num-gpus 8
           --config-file configs/detr/detr_panoptic_boxes_r50_300ep.py
           for the others with model.backbone.output_stride=16 (DC5) or
           model.backbone.name=resnet101.tv_in1k
Hours:     not measured
Published: none
Smoke run: any panoptic data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.data.coco_panoptic import data, dataloader, things_evaluator
from ..common.models.detr import model
from ..common.optim import detr_optimizer as optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

dataloader.train.mapper.with_masks = False
dataloader.evaluator = things_evaluator

train.output_dir = "output/detr_panoptic_boxes_r50_300ep"
train.epochs = 300
lr_multiplier.milestones = [200]
