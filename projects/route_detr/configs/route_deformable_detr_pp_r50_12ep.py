"""Route-DETR on Deformable-DETR++ R50, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_deformable_detr_pp_r50_12ep.py
Hours:     not measured
Published: AP 48.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.data.coco import data, dataloader
from ....configs.common.models.deformable_detr_pp import model
from ....configs.common.optim import optimizer
from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.routing import paper

model.schemes = [paper]

train.output_dir = "output/route_deformable_detr_pp_r50_12ep"
train.epochs = 12
lr_multiplier.milestones = [11]
