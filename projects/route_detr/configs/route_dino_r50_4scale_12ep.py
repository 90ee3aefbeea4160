"""Route-DETR on DINO 4-scale R50, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_dino_r50_4scale_12ep.py
Hours:     not measured
Published: AP 50.7 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.dino import model
from ....configs.common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import paper

model.schemes = [*model.schemes, paper]

train.output_dir = "output/route_dino_r50_4scale_12ep"
