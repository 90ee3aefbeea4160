"""Co-Deformable-DETR R50, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_r50_12ep.py
Hours:     not measured
Published: AP 49.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .common.co_deformable_detr import model
from .common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/co_deformable_detr_r50_12ep"
