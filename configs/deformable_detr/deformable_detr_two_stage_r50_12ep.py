"""Two-stage Deformable-DETR R50, 12 epochs.

Paper:     H-DETR (its baseline), https://arxiv.org/abs/2207.13080
Command:   python train_net.py --num-gpus 8
           --config-file configs/deformable_detr/deformable_detr_two_stage_r50_12ep.py
Hours:     not measured
Published: AP 43.7 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.models.deformable_detr_two_stage import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

# As published by H-DETR: wider than the Deformable-DETR paper's.
model.encoder.sizes.feedforward_dim = 2048

train.output_dir = "output/deformable_detr_two_stage_r50_12ep"
