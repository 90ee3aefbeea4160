"""Route-DETR on Deformable-DETR++ R50, 24 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_deformable_detr_pp_r50_24ep.py
Hours:     not measured
Published: AP 49.4 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .route_deformable_detr_pp_r50_12ep import model

train.output_dir = "output/route_deformable_detr_pp_r50_24ep"
train.epochs = 24
lr_multiplier.milestones = [20]
