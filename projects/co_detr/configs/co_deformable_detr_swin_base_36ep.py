"""Co-Deformable-DETR Swin-B, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_swin_base_36ep.py
Hours:     not measured
Published: AP 57.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.backbones import swin_base_384
from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_deformable_detr import model
from .common.coco import data, dataloader
from .common.optim import co_deformable_optimizer as optimizer

model.merge_with(swin_base_384)
model.backbone.drop_path_rate = 0.4
optimizer.weight_decay = 0.05

train.output_dir = "output/co_deformable_detr_swin_base_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
