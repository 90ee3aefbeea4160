"""MDS-DETR R50, 12 epochs.

Paper:     MDS-DETR, https://arxiv.org/abs/2605.23507
Command:   python train_net.py --config-file configs/mds_detr/mds_detr_r50_12ep.py --num-gpus 8
Hours:     not measured
Published: AP 51.3 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.mds_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

train.output_dir = "output/mds_detr_r50_12ep"
