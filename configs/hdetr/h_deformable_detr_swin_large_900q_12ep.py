"""H-Deformable-DETR Swin-L with 900 queries, 12 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/h_deformable_detr_swin_large_900q_12ep.py
--num-gpus 8
Hours:     not measured
Published: AP 56.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from .h_deformable_detr_swin_large_12ep import model

model.query_selection.num_queries = 900

train.output_dir = "output/h_deformable_detr_swin_large_900q_12ep"
