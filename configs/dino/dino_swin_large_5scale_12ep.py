"""DINO 5-scale Swin-L, 12 epochs.

Paper:     DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --num-gpus 8
           --config-file configs/dino/dino_swin_large_5scale_12ep.py
Hours:     not measured
Published: AP 57.3 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_large_384
from ..common.models.dino_5scale import model
from ..common.runs.detr import data, dataloader, lr_multiplier, optimizer, train

model.merge_with(swin_large_384)
model.neck.in_shapes = [192, 384, 768, 1536]

train.output_dir = "output/dino_swin_large_5scale_12ep"
