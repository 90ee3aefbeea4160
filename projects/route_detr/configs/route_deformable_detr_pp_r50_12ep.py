"""Route-DETR on Deformable-DETR++ R50, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_deformable_detr_pp_r50_12ep.py
Hours:     not measured
Published: AP 48.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.models.deformable_detr_pp import model
from ....configs.common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import paper

model.schemes = [paper]

train.output_dir = "output/route_deformable_detr_pp_r50_12ep"
