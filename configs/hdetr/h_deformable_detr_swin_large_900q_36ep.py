"""H-Deformable-DETR Swin-L with 900 queries, 36 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_large_900q_36ep.py
--num-gpus 8
Hours:     not measured
Published: AP 57.4 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.backbones import swin_large
from ..common.data.coco import data, dataloader
from ..common.models.h_deformable_detr import model
from ..common.optim import optimizer
from ..common.schedule import lr_multiplier
from ..common.train import train

model.merge_with(swin_large)
model.backbone.drop_path_rate = 0.5
model.query_selection.num_queries = 900

train.output_dir = "output/h_deformable_detr_swin_large_900q_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
