"""Teach-DETR on H-Deformable-DETR R50, 36 epochs.

Paper:     Teach-DETR, https://arxiv.org/abs/2211.11953
Command:   python train_net.py --num-gpus 8
           --config-file configs/teach_detr/teach_h_deformable_detr_r50_36ep.py
Hours:     not measured
Published: AP 51.9 (COCO val2017; 50.0 without teachers)
Smoke run: any data set, its boxes of a teacher and `train.max_iter=20`, see docs/TRAINING.md

The authors' teachers are not released. docs/SCHEMES.md tells what the json of one holds, and how a
checkpoint is one.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.data import TeacherResults

from ..common.schemes import hybrid_branch, teach_detr
from ..hdetr.h_deformable_detr_r50_36ep import (
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)

__all__ = ["data", "dataloader", "lr_multiplier", "model", "optimizer", "train"]

model.schemes = [hybrid_branch, teach_detr]
dataloader.train.mapper.teacher = L(TeacherResults)(
    file="datasets/coco/teacher_train2017.json",
    dataset="${data.train_name}",
    threshold=0.3,
    num_boxes=100,
)
train.output_dir = "output/teach_h_deformable_detr_r50_36ep"
