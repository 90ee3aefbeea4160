"""Panoptic DETR R50-DC5: the mask head of a model of boxes, which is frozen, 25 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872, section 4.4
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_panoptic_dc5_r50_25ep.py
           train.init_checkpoint=CHECKPOINT, that of
           configs/detr/detr_panoptic_boxes_r50_300ep.py with output_stride=16
Hours:     not measured
Published: AP 40.2, of masks 31.9, PQ 44.6 (COCO val2017)
Smoke run: any panoptic data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .detr_panoptic_r50_25ep import data, dataloader, lr_multiplier, model, optimizer, train

model.backbone.output_stride = 16
train.output_dir = "output/detr_panoptic_dc5_r50_25ep"
