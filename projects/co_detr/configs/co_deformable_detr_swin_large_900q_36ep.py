"""Co-Deformable-DETR Swin-L with 900 queries, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_deformable_detr_swin_large_900q_36ep.py
Hours:     not measured
Published: AP 58.5 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from .co_deformable_detr_swin_large_12ep import model
from .common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

model.backbone.drop_path_rate = 0.6
model.query_selection.num_queries = 900
model.postprocessing.num_select = 300
optimizer.weight_decay = 0.05

train.output_dir = "output/co_deformable_detr_swin_large_900q_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
