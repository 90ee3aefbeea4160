"""Co-Deformable-DETR R50, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_r50_12ep.py
Hours:     not measured
Published: AP 49.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_deformable_detr import model
from .common.coco import data, dataloader
from .common.optim import co_deformable_optimizer as optimizer

train.output_dir = "output/co_deformable_detr_r50_12ep"
train.epochs = 12
lr_multiplier.milestones = [11]
