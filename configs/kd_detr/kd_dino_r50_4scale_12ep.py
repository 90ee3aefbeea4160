"""KD-DETR: DINO 4-scale R50, 12 epochs, that learns what a trained DINO answers.

Paper:     KD-DETR, https://arxiv.org/abs/2211.08071; DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --num-gpus 8 --config-file configs/kd_detr/kd_dino_r50_4scale_12ep.py
Hours:     not measured
Published: AP 51.6 (COCO val2017; 49.0 without the teacher, DINO R101 with AP 51.3)
Smoke run: any data set, a checkpoint with its classes as the teacher and `train.max_iter=20`, see
           docs/TRAINING.md

The teacher is the checkpoint of a larger model with queries of the same kind, which the recipe of
the student trains with `model.backbone.name=resnet101.tv_in1k`; docs/SCHEMES.md tells more.
"""

from ..common.schemes import kd_detr
from ..dino.dino_r50_4scale_12ep import data, dataloader, lr_multiplier, model, optimizer, train

__all__ = ["data", "dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.schemes = [*model.schemes, kd_detr]
train.output_dir = "output/kd_dino_r50_4scale_12ep"
