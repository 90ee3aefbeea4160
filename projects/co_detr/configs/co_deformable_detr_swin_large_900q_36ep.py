"""Co-Deformable-DETR Swin-L with 900 queries, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_swin_large_900q_36ep.py
Hours:     not measured
Published: AP 58.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.backbones import swin_large_384
from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_deformable_detr import model
from .common.coco import data, dataloader
from .common.optim import co_deformable_optimizer as optimizer

model.merge_with(swin_large_384)
model.backbone.drop_path_rate = 0.6
model.query_selection.num_queries = 900
model.num_select = 300
optimizer.weight_decay = 0.05

train.output_dir = "output/co_deformable_detr_swin_large_900q_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
