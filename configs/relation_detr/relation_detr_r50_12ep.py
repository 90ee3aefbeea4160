"""Relation-DETR R50, 12 epochs.

Paper:     Relation-DETR, https://arxiv.org/abs/2407.11699
Command:   python train_net.py --num-gpus 8
           --config-file configs/relation_detr/relation_detr_r50_12ep.py
Hours:     not measured
Published: AP 51.7 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.relation_detr import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

# Norms and biases have no weight decay, and the rate drops one epoch earlier than elsewhere.
optimizer.lr = 1e-4
optimizer.params.rules = [
    dict(pattern=r"^backbone\.", lr_scale=0.1),
    dict(pattern=r"sampling_offsets.*bias", lr_scale=0.1, weight_decay=0.0),
    dict(pattern=r"sampling_offsets", lr_scale=0.1),
    dict(pattern=r"norm|bias", weight_decay=0.0),
]
lr_multiplier.milestones = [10]

train.output_dir = "output/relation_detr_r50_12ep"
