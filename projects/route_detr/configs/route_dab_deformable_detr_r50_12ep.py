"""Route-DETR on Deformable-DETR R50 with learned anchor boxes, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_dab_deformable_detr_r50_12ep.py
Hours:     not measured
Published: none; AP +0.7 over its base, by the paper
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.dab_deformable_detr import model
from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import paper

model.schemes = [paper]

train.output_dir = "output/route_dab_deformable_detr_r50_12ep"
