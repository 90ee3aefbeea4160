"""Deformable-DETR++ R50 with the hybrid epoch scheme, 12 epochs.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080
Command:   python train_net.py --config-file configs/hdetr/deformable_detr_hybrid_epoch_r50_12ep.py
--num-gpus 8
Hours:     not measured
Published: none (of these numbers; the paper's comparison puts the branch first)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_pp import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import hybrid_epoch

# Two thirds of the training are one-to-many, the rest is one-to-one: on average 7 positives of a
# target, as with the hybrid branch. Evaluation has all of these queries, too.
model.schemes = [hybrid_epoch]
model.query_selection.num_queries = 1800

train.output_dir = "output/deformable_detr_hybrid_epoch_r50_12ep"
