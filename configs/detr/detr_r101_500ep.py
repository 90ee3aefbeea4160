"""DETR R101, 500 epochs.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --num-gpus 8 --config-file configs/detr/detr_r101_500ep.py
Hours:     not measured
Published: AP 43.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.data.coco import data, dataloader
from ..common.models.detr import model
from ..common.optim import detr_optimizer as optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

model.backbone.name = "resnet101.tv_in1k"
dataloader.train.total_batch_size = 64

train.output_dir = "output/detr_r101_500ep"
train.epochs = 500
lr_multiplier.milestones = [400]
