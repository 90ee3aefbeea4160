"""Co-DINO 5-scale Swin-L, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_swin_large_36ep.py
Hours:     not measured
Published: AP 60.0 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .co_dino_5scale_swin_large_12ep import model
from .common.runs.dino import data, dataloader, lr_multiplier, optimizer, train

model.backbone.drop_path_rate = 0.6

train.output_dir = "output/co_dino_5scale_swin_large_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
