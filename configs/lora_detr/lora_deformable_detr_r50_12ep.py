"""LoRA-DETR with three branches on two-stage Deformable-DETR R50, 300 queries, 12 epochs.

Paper:     Integrating Diverse Assignment Strategies into DETRs, https://arxiv.org/abs/2601.09247
Command:   python train_net.py --num-gpus 8
           --config-file configs/lora_detr/lora_deformable_detr_r50_12ep.py
Hours:     not measured
Published: none (its repository gives no figure)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ..common.losses import graded
from ..common.low_rank_branches import low_rank_branches
from ..common.models.deformable_detr_two_stage import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train

model.encoder.sizes.feedforward_dim = 2048
model.criterion.class_loss = graded
model.criterion.weights_of = {"main": {"class": 1.0}}
model.schemes = list(low_rank_branches.values())
# Its commands let box heads learn slowly, in the place of the places that queries look at.
optimizer.params.rules[1].pattern = r"box_heads"

train.output_dir = "output/lora_deformable_detr_r50_12ep"
