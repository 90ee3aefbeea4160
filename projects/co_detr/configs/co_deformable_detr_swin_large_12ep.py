"""Co-Deformable-DETR Swin-L, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_swin_large_12ep.py
Hours:     not measured
Published: AP 56.9 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.backbones import swin_large_384
from .common.co_deformable_detr import model
from .common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

model.merge_with(swin_large_384)
model.backbone.drop_path_rate = 0.3
optimizer.weight_decay = 0.05

train.output_dir = "output/co_deformable_detr_swin_large_12ep"
