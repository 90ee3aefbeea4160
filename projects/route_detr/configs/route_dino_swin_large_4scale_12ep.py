"""Route-DETR on DINO 4-scale Swin-L, 12 epochs.

Paper:     Route-DETR, https://arxiv.org/abs/2512.13876
Command:   python train_net.py --num-gpus 8
           --config-file projects/route_detr/configs/route_dino_swin_large_4scale_12ep.py
Hours:     not measured
Published: AP 57.6 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

The number of epochs is that of the results it is compared with; the paper's was not to be had.
"""

from ....configs.common.backbones import swin_large_384
from ....configs.common.models.dino import model
from ....configs.common.runs.detr import data, dataloader, lr_multiplier, optimizer, train
from .common.routing import paper

model.merge_with(swin_large_384)
model.schemes = [*model.schemes, paper]

train.output_dir = "output/route_dino_swin_large_4scale_12ep"
