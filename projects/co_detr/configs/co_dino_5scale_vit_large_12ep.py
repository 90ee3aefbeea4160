"""Co-DINO 5-scale on EVA-02's ViT-L, 12 epochs.

Paper:     Co-DETR, https://arxiv.org/abs/2211.12860
Command:   python train_net.py --num-gpus 8
           --config-file projects/co_detr/configs/co_dino_5scale_vit_large_12ep.py
           train.init_checkpoint=...
Hours:     not measured
Published: AP 65.9 (COCO val2017)
Smoke run: any data set and `train.max_iter=20`, see docs/TRAINING.md

The published figure starts at a checkpoint of Objects365.
"""

from ....configs.common.schedule import lr_multiplier
from ....configs.common.train import train
from .common.co_dino_vit import model
from .common.large_images import data, dataloader
from .common.optim import vit_optimizer as optimizer

model.preprocessing.size_divisibility = 32
model.query_selection.num_queries = 1500
model.schemes[-1].collaborators.faster_rcnn.head.roi_head.update(
    num_convs=4, num_hidden=1, class_agnostic=True, stds=[0.05, 0.05, 0.1, 0.1]
)

train.output_dir = "output/co_dino_5scale_vit_large_12ep"
train.epochs = 12
train.ema.update(enabled=True, decay=0.9999)
lr_multiplier.milestones = [7]
