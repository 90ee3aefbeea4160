"""MS-DETR on two-stage Deformable-DETR R50, 300 queries, 12 epochs.

Paper:     MS-DETR, https://arxiv.org/abs/2401.03989
Command:   python train_net.py --num-gpus 8
           --config-file configs/ms_detr/ms_deformable_detr_r50_12ep.py
Hours:     not measured
Published: AP 47.6 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import CrossFirst

from ..common.models.deformable_detr_two_stage import model
from ..common.runs.deformable import data, dataloader, lr_multiplier, optimizer, train
from ..common.schemes import mixed_supervision

model.decoder.order = L(CrossFirst)()
model.schemes = [mixed_supervision]
model.criterion.weights_of = {"main": {"class": 1.0}}
model.encoder.sizes.feedforward_dim = 2048

train.output_dir = "output/ms_deformable_detr_r50_12ep"
