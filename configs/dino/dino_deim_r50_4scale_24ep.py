"""DINO 4-scale R50 with DEIM's dense one-to-one (mosaics, mixup, copy-blend) and class loss, 24
epochs.

Paper:     DEIM, https://arxiv.org/abs/2412.04234, with DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --config-file configs/dino/dino_deim_r50_4scale_24ep.py --num-gpus 8
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.data.coco_dense import data, dataloader
from ..common.losses import matchability
from ..common.models.dino import model
from ..common.runs.detr import lr_multiplier, optimizer, train

model.criterion.class_loss = matchability

train.output_dir = "output/dino_deim_r50_4scale_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
