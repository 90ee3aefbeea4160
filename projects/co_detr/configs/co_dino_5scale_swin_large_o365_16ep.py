"""Co-DINO 5-scale Swin-L on COCO after Objects365, 16 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_swin_large_o365_16ep.py
           train.init_checkpoint=...
Hours:     not measured
Published: AP 64.1 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

The checkpoint is that of a training on Objects365, here or, converted, by the authors' code.
"""

from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .co_dino_5scale_swin_large_12ep import model
from .common.large_images import data, dataloader
from .common.optim import co_dino_optimizer as optimizer

model.preprocessing.size_divisibility = 32
model.backbone.update(drop_path_rate=0.3, checkpointing=True)
model.schemes[0].box_noise.scale = 0.4
model.schemes[0].update(groups=500, max_queries=1000)
dataloader.train.mapper.augmentations[1].sides = [*range(480, 1537, 32)]
optimizer.lr = 1e-4

train.output_dir = "output/co_dino_5scale_swin_large_o365_16ep"
train.epochs = 16
lr_multiplier.milestones = [8]
