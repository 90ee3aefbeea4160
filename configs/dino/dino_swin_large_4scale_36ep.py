"""DINO 4-scale Swin-L, 36 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --num-gpus 8
           --config-file configs/dino/dino_swin_large_4scale_36ep.py
Hours:     not measured
Published: AP 58.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_large_384
from ..common.data.coco import data, dataloader
from ..common.models.dino import model
from ..common.optim import detr_optimizer as optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

model.merge_with(swin_large_384)

train.output_dir = "output/dino_swin_large_4scale_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
