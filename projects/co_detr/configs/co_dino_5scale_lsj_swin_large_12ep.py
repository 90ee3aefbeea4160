"""Co-DINO 5-scale Swin-L with large-scale jitter, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_lsj_swin_large_12ep.py
Hours:     not measured
Published: AP 59.3 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md
"""

from ....configs.common.backbones import swin_large_384
from .common.co_dino_jitter import model
from .common.runs.jitter import data, dataloader, lr_multiplier, optimizer, train

model.merge_with(swin_large_384)
model.neck.in_shapes = [192, 384, 768, 1536]
model.backbone.drop_path_rate = 0.3
model.preprocessing.side = 1280
model.encoder.checkpointing = True

train.output_dir = "output/co_dino_5scale_lsj_swin_large_12ep"
