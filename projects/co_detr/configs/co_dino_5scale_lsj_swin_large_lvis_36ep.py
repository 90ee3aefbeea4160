"""Co-DINO 5-scale Swin-L with large-scale jitter on LVIS v1, 36 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_lsj_swin_large_lvis_36ep.py
Hours:     not measured
Published: AP 56.9 (LVIS v1)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.backbones import swin_large_384
from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_dino_jitter import model
from .common.jitter_lvis import data, dataloader
from .common.optim import co_dino_optimizer as optimizer

model.merge_with(swin_large_384)
model.neck.in_shapes = [192, 384, 768, 1536]
model.backbone.drop_path_rate = 0.3
model.preprocessing.side = 1280
model.encoder.checkpointing = True

train.output_dir = "output/co_dino_5scale_lsj_swin_large_lvis_36ep"
train.epochs = 36
lr_multiplier.milestones = [30]
