"""Co-DINO 5-scale R50 with large-scale jitter, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_lsj_r50_12ep.py
Hours:     not measured
Published: AP 52.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_dino_jitter import model
from .common.jitter import data, dataloader
from .common.optim import co_dino_optimizer as optimizer

train.output_dir = "output/co_dino_5scale_lsj_r50_12ep"
train.epochs = 12
lr_multiplier.milestones = [11]
