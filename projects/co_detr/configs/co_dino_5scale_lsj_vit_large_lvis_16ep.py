"""Co-DINO 5-scale on EVA-02's ViT-L with large-scale jitter on LVIS v1, 16 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_lsj_vit_large_lvis_16ep.py
           train.init_checkpoint=...
Hours:     not measured
Published: AP 68.0 (LVIS v1 val)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

The published figure starts at a checkpoint of Objects365.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import GreySquare

from .common.co_dino_vit import model
from .common.runs.jitter_lvis import data, dataloader, lr_multiplier, optimizer, train

model.preprocessing = L(GreySquare)(
    pixel_mean=model.preprocessing.pixel_mean,
    pixel_std=model.preprocessing.pixel_std,
    side=1536,
    grey=114,
)
model.backbone.update(window=16, global_every=3, drop_path_rate=0.3)
dataloader.evaluator.max_dets_per_image = 1000
optimizer.update(lr=5e-5, weight_decay=0.05)

train.output_dir = "output/co_dino_5scale_lsj_vit_large_lvis_16ep"
train.epochs = 16
lr_multiplier.milestones = [9, 15]
