"""Co-DINO 5-scale Swin-L with large-scale jitter on LVIS, with the federated loss, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860; federated loss,
           https://arxiv.org/abs/2103.07461
Command:   python train_net.py --num-gpus 8 --config-file
           projects/co_detr/configs/co_dino_5scale_lsj_swin_large_lvis_federated_36ep.py
Hours:     not measured
Published: none
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.losses import federated as _federated
from .co_dino_5scale_lsj_swin_large_lvis_36ep import model
from .common.runs.jitter_lvis import data, dataloader, lr_multiplier, optimizer, train

_federated.loss = model.criterion.class_loss
model.criterion.class_loss = _federated

train.output_dir = "output/co_dino_5scale_lsj_swin_large_lvis_federated_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
