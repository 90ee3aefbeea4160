"""Panoptic DETR R101: the mask head of a model of boxes, which is frozen, 25 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_panoptic_r101_25ep.py
           train.init_checkpoint=CHECKPOINT, that of
           configs/detr/detr_panoptic_boxes_r50_300ep.py with R101
Hours:     not measured
Published: AP 40.1, of masks 33.0, PQ 45.1 (COCO val2017)
Smoke run: any panoptic data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .detr_panoptic_r50_25ep import data, dataloader, lr_multiplier, model, optimizer, train

model.backbone.name = "resnet101.tv_in1k"
train.output_dir = "output/detr_panoptic_r101_25ep"
